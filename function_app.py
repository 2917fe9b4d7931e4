"""The Azure Functions app: one app object, one line per blueprint."""

import azure.durable_functions as df
import azure.functions as func

from functions import (
    blob_uploads,
    durable_activities,
    durable_alerts,
    durable_alerts_activities,
    durable_generation,
    durable_overage,
    durable_overage_activities,
    durable_provider_batches,
    durable_provider_batches_activities,
    http_alert_channels,
    http_approvals,
    http_batches,
    http_budgets,
    http_cases,
    http_estimates,
    http_freezes,
    http_generations,
    http_grants,
    http_health,
    http_images,
    http_keys,
    http_openapi,
    http_organisation,
    http_reconciliation,
    http_reports,
    http_statements,
    timer_alerts,
    timer_allocations,
    timer_audit_relay,
    timer_ledger_sweep,
    timer_overage,
    timer_reconciliation,
)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(http_generations.bp)
app.register_functions(http_images.bp)
app.register_functions(http_batches.bp)
app.register_functions(http_keys.bp)
app.register_functions(http_estimates.bp)
app.register_functions(http_budgets.bp)
app.register_functions(http_freezes.bp)
app.register_functions(http_reconciliation.bp)
app.register_functions(http_cases.bp)
app.register_functions(http_organisation.bp)
app.register_functions(http_alert_channels.bp)
app.register_functions(http_grants.bp)
app.register_functions(http_approvals.bp)
app.register_functions(http_reports.bp)
app.register_functions(http_statements.bp)
app.register_functions(http_health.bp)
app.register_functions(http_openapi.bp)
app.register_functions(blob_uploads.bp)
app.register_functions(durable_generation.bp)
app.register_functions(durable_provider_batches.bp)
app.register_functions(durable_provider_batches_activities.bp)
app.register_functions(durable_activities.bp)
app.register_functions(durable_alerts.bp)
app.register_functions(durable_alerts_activities.bp)
app.register_functions(timer_alerts.bp)
app.register_functions(durable_overage.bp)
app.register_functions(durable_overage_activities.bp)
app.register_functions(timer_ledger_sweep.bp)
app.register_functions(timer_reconciliation.bp)
app.register_functions(timer_overage.bp)
app.register_functions(timer_allocations.bp)
app.register_functions(timer_audit_relay.bp)
