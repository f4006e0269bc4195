// Containers' long replies: attach (the connection goes to the shim), logs, wait. Heads are sent
// before anything is waited for, since clients block on them before they start the container.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/hijack.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "api/websocket.h"
#include "base/json.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
constexpr std::size_t kMaxAttachBody = 64U << 10;

engine::AttachRequest attach_request(const http::Query& query) {
    engine::AttachRequest request;
    request.logs = boolean(query, "logs");
    request.stream = boolean(query, "stream");
    request.stdin_ = boolean(query, "stdin");
    request.stdout_ = boolean(query, "stdout");
    request.stderr_ = boolean(query, "stderr");
    request.detach_keys = query.get("detachKeys");
    return request;
}

void hand_over(Call& call, engine::AttachRequest request, http::Hijacked client) {
    call.streams.spawn(
        "attach " + call.name.substr(0, 12),
        call.engine.containers().attach(call.name, std::move(request), std::move(client.socket),
                                        std::move(client.early)));
}

async::Task<> attach(Call& call) {
    engine::AttachRequest request = attach_request(call.query());
    // dockerode repeats its parameters in a body; what follows it is the stream.
    if (call.exchange.content_length().value_or(0) > 0)
        co_await call.exchange.read_whole_body(kMaxAttachBody);
    const auto kind = call.engine.containers().check_attach(call.name, request);
    const auto type = stream_content_type(call.version, framing_of(kind));
    http::Hijacked client = co_await hijack(call, type, http::Headers());
    hand_over(call, std::move(request), std::move(client));
}

async::Task<> attach_websocket(Call& call) {
    engine::AttachRequest request = attach_request(call.query());
    request.websocket = true;
    std::string head = websocket_head(call.request());
    call.engine.containers().check_attach(call.name, request);
    http::Hijacked client = co_await call.exchange.hijack(std::move(head));
    hand_over(call, std::move(request), std::move(client));
}

async::Task<> send_log(Call& call, std::unique_ptr<engine::LogStream> log) {
    http::Headers headers = common_headers();
    headers.add("Content-Type", stream_content_type(call.version, framing_of(log->kind())));
    co_await call.exchange.stream(200, std::move(headers));
    for (;;) {
        const auto bytes = co_await log->next();
        if (!bytes) break;
        co_await call.exchange.write(*bytes);
    }
    co_await call.exchange.finish();
}

async::Task<> logs(Call& call) {
    engine::LogRequest request;
    const auto& query = call.query();
    request.follow = boolean(query, "follow");
    request.stdout_ = boolean(query, "stdout");
    request.stderr_ = boolean(query, "stderr");
    request.timestamps = boolean(query, "timestamps");
    request.details = boolean(query, "details");
    request.since = query.get("since");
    request.until = query.get("until");
    request.tail = query.get("tail");
    auto log = call.engine.containers().logs(call.name, request);
    co_await call.exchange.cancel_on_disconnect(send_log(call, std::move(log)));
}

nlohmann::json wait_reply(const engine::WaitOutcome& outcome) {
    nlohmann::json reply{{"StatusCode", outcome.exit_code}};
    if (!outcome.error.empty()) reply["Error"] = {{"Message", outcome.error}};
    return reply;
}

async::Task<> send_outcome(Call& call, engine::Wait wait) {
    co_await call.exchange.stream(200, json_headers());
    const auto outcome = co_await wait.outcome();
    co_await call.exchange.write(dump_json(wait_reply(outcome)) + "\n");
    co_await call.exchange.finish();
}

// Before 1.30 there was no condition, and the head came with the exit.
async::Task<> send_late_outcome(Call& call, engine::Wait wait) {
    const auto outcome = co_await wait.outcome();
    co_await reply_json(call, 200, wait_reply(outcome));
}

async::Task<> wait(Call& call) {
    const bool early_head = call.version >= ApiVersion{1, 30};
    const auto condition = early_head ? engine::wait_condition_from(call.query().get("condition"))
                                      : engine::WaitCondition::not_running;
    auto wait = call.engine.containers().wait(call.name, condition);
    if (early_head)
        co_await call.exchange.cancel_on_disconnect(send_outcome(call, std::move(wait)));
    else
        co_await call.exchange.cancel_on_disconnect(send_late_outcome(call, std::move(wait)));
}
}  // namespace

void add_container_stream_routes(Router& router) {
    router.add("POST", "/containers/{name}/attach", attach);
    router.add("GET", "/containers/{name}/attach/ws", attach_websocket);
    router.add("GET", "/containers/{name}/logs", logs);
    router.add("POST", "/containers/{name}/wait", wait);
}

}  // namespace berth::api
