"""A small app that exercises every behaviour of the local Functions host."""

import azure.durable_functions as df
import azure.functions as func
import sample_durable
import sample_http
import sample_triggers

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(sample_http.bp)
app.register_functions(sample_durable.bp)
app.register_functions(sample_triggers.bp)
