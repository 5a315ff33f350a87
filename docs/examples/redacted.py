from polysocket import basic_request

request = basic_request.bearer_auth("my-token").get("wss://example.com/chat?key=my-key")
print(request)
