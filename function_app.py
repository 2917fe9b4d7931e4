"""The Azure Functions app: one app object, every blueprint registered on it."""

import azure.durable_functions as df
import azure.functions as func

from functions.blueprints import BLUEPRINTS

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in BLUEPRINTS:
    app.register_functions(blueprint)
