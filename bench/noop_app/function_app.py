"""The floor: one anonymous HTTP function that does nothing, with both Functions packages loaded."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.function_name("Noop")
@app.route(route="noop", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def noop(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with an empty JSON object."""
    return func.HttpResponse("{}", status_code=202, mimetype="application/json")
