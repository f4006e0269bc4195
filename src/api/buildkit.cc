// Connections of BuildKit's clients: HTTP/1 up to the upgrade, then HTTP/2 with gRPC.
#include "buildkit/service.h"

#include "api/call.h"
#include "api/routes.h"

namespace berth::api {

namespace {
async::Task<http::Hijacked> upgrade(Call& call) {
    if (!call.request().headers.has_token("Upgrade", "h2c"))
        throw Error(ErrorKind::invalid, "{} needs an upgrade of the connection to h2c",
                    call.request().path);
    co_return co_await call.exchange.hijack(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
}

async::Task<> grpc(Call& call) {
    http::Hijacked client = co_await upgrade(call);
    call.streams.spawn("BuildKit connection",
                       call.buildkit.serve(std::move(client.socket), std::move(client.early)));
}

async::Task<> session(Call& call) {
    buildkit::SessionHead head = buildkit::session_head(call.request().headers.entries());
    http::Hijacked client = co_await upgrade(call);
    call.streams.spawn("BuildKit session",
                       call.buildkit.serve_session(std::move(client.socket),
                                                   std::move(client.early), std::move(head)));
}
}  // namespace

void add_buildkit_routes(Router& router) {
    router.add("POST", "/grpc", grpc);
    router.add("POST", "/session", session);
}

}  // namespace berth::api
