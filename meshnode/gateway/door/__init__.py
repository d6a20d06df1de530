"""The door: `/v1`, as clients of OpenAI know it, in front of the whole mesh.

    POST /v1/chat/completions | /v1/completions | /v1/responses | /v1/embeddings
    GET  /v1/models | /v1/models/ID | /v1/responses/ID

`calls` reads a request into a `Call`; `serving.Door` asks the node; a *form* (`chat`, `completions`,
`responses`) shows the answer in the way the path promises; a *reply* carries it to the client.
Fields that are not known here pass through both ways.
"""
