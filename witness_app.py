"""The witness as an app of its own: `PYTHON_SCRIPT_FILE_NAME=witness_app.py` in its settings."""

import azure.functions as func

from functions import timer_audit_witness
from shared.wiring import witness_alone

witness_alone()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(timer_audit_witness.bp)
