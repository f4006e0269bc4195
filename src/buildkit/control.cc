// moby.buildkit.v1.Control: builds, their progress, what the builder is.
#include <sys/socket.h>

#include <array>
#include <utility>

#include "async/fd_wait.h"
#include "base/text.h"
#include "buildkit/methods.h"
#include "engine/engine.h"
#include "image/platform.h"
#include "linux/socket_pair.h"

namespace berth::buildkit {

using grpc::WireWriter;

namespace {
constexpr std::size_t kTunnelPiece = 32U << 10;

// Clients compare the version: it names the release of BuildKit whose API is spoken.
WireWriter builder_version() {
    return WireWriter().text(1, "berth").text(2, "v0.12.5").text(3, BERTH_VERSION);
}

/// types.Platform of this machine.
WireWriter platform() {
    const oci::Platform host = image::host_platform();
    return WireWriter().text(1, host.architecture).text(2, host.os);
}

async::Task<> reply(grpc::Call call, WireWriter message) {
    co_await call.read_one();
    co_await call.write(message.take());
}

async::Task<> info(Service&, grpc::Call call) {
    co_await reply(call, WireWriter().message(1, builder_version()));
}

async::Task<> list_workers(Service&, grpc::Call call) {
    co_await reply(call, WireWriter().message(1, worker_record()));
}

/// google.protobuf.Timestamp
WireWriter time_message(Timestamp at) {
    return WireWriter()
        .number(1, static_cast<std::uint64_t>(at.seconds()))
        .number(2, static_cast<std::uint64_t>(at.ns % 1'000'000'000));
}

WireWriter usage_record(const engine::CacheFacts& cache) {
    return WireWriter()
        .text(1, cache.name)
        .number(2, 1)
        .number(3, cache.in_use ? 1 : 0)
        .number(4, static_cast<std::uint64_t>(cache.size))
        .message(6, time_message(cache.created))
        .message(7, time_message(cache.used))
        .text(9, "cached mount " + cache.id)
        .text(10, engine::kCacheType);
}

// The directories of RUN --mount=type=cache. Other steps' cache is their images.
async::Task<> disk_usage(Service& service, grpc::Call call) {
    const std::vector<engine::CacheFacts> caches =
        co_await service.engine().housekeeping().build_cache();
    WireWriter message;
    for (const engine::CacheFacts& cache : caches) message.message(1, usage_record(cache));
    co_await reply(call, std::move(message));
}

/// "until=1h", "type==exec.cachemount"
void add_filter(std::string_view text, engine::Filters& filters) {
    if (text.empty()) return;  // buildx sends one
    const std::size_t equals = std::min(text.find('='), text.size());
    std::string_view value = text.substr(equals);
    while (value.starts_with('=') || value.starts_with('~')) value.remove_prefix(1);
    filters.add(std::string(text.substr(0, equals)), std::string(value));
}

/// PruneRequest
async::Task<> prune(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    engine::Filters filters;
    std::int64_t keep = 0;
    for (grpc::WireReader field(request); field.next();) {
        if (field.field() == 1) add_filter(field.text(), filters);
        if (field.field() == 3 && field.number() > 0)
            filters.add("until", std::to_string(field.number()) + "ns");
        if (field.field() == 4) keep = static_cast<std::int64_t>(field.number());
    }
    const std::vector<engine::CacheFacts> removed =
        co_await service.engine().housekeeping().prune_build_cache(std::move(filters), keep);
    for (const engine::CacheFacts& cache : removed) {
        std::string record = usage_record(cache).take();
        co_await call.write(std::move(record));
    }
}

/// grpc.health.v1: SERVING
async::Task<> health(Service&, grpc::Call call) { co_await reply(call, WireWriter().number(1, 1)); }

/// The image that the client's part of the build ended with; empty: none.
async::Task<std::string> result_of(Service& service, std::shared_ptr<Build> build) {
    refuse_definition(build->request);
    if (!build->request.frontend.empty()) {
        co_await solve_frontend(service, build, build->request);
        co_return build->results.begin()->second;
    }
    co_await build->ended.wait();
    const ReturnedResult& returned = build->returned;
    if (returned.code != 0)
        throw grpc::error_of({static_cast<grpc::Code>(returned.code), returned.error});
    if (returned.ref.empty()) co_return "";
    const auto found = build->results.find(returned.ref);
    if (found == build->results.end())
        throw Error(ErrorKind::not_found, "no such result {}", returned.ref);
    co_return found->second;
}

async::Task<std::string> solve_build(Service& service, std::shared_ptr<Build> build) {
    std::string image = co_await result_of(service, build);
    co_return co_await export_result(service, build, std::move(image));
}

async::Task<> solve(Service& service, grpc::Call call) {
    const auto build = std::make_shared<Build>();
    build->request = decode_control_solve(co_await call.read_one());
    const std::string ref = build->request.ref;
    service.add_build(build);
    std::exception_ptr failure;
    std::string response;
    try {
        response = co_await solve_build(service, build);
    } catch (...) {
        failure = std::current_exception();
    }
    build->progress->finish(failure ? async::to_error(failure).message() : "");
    service.retire(ref);
    if (failure) std::rethrow_exception(failure);
    co_await call.write(std::move(response));
}

async::Task<> status(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    const auto build = co_await service.find_build(decode_text(request));
    for (;;) {
        auto message = co_await build->progress->next();
        if (!message) break;
        co_await call.write(std::move(*message));
    }
}

/// The head of POST /session, as metadata.
SessionHead session_head(const grpc::Metadata& metadata) {
    SessionHead head;
    head.id = grpc::find(metadata, "x-docker-expose-session-uuid");
    head.name = grpc::find(metadata, "x-docker-expose-session-name");
    if (head.id.empty()) throw Error(ErrorKind::invalid, "the session has no id");
    for (const auto& [name, value] : metadata)
        if (name == "x-docker-expose-session-grpc-method") head.methods.insert(to_lower(value));
    return head;
}

async::Task<> pump_out(grpc::Call call, std::shared_ptr<const UniqueFd> from) {
    std::string piece(kTunnelPiece, '\0');
    for (;;) {
        const auto bytes = co_await async::receive_some(*from, piece);
        if (!bytes || bytes->empty()) co_return;
        co_await call.write(WireWriter().text(1, *bytes).take());
    }
}

// A session inside of a call: the same bytes as of POST /session, in messages.
async::Task<> session(Service& service, grpc::Call call) {
    SessionHead head = session_head(call.metadata());
    auto [ours, theirs] = linux_os::stream_socket_pair();
    const auto tunnel = std::make_shared<const UniqueFd>(std::move(theirs));
    service.tasks().spawn("BuildKit session",
                          service.serve_session(std::move(ours), "", std::move(head)));
    service.tasks().spawn("session tunnel", pump_out(call, tunnel));
    std::exception_ptr failure;
    try {
        for (bool open = true; open;) {
            const auto message = co_await call.read();
            open = message.has_value();
            if (!open) break;
            const std::string bytes = decode_text(*message);
            open = co_await async::send_all(*tunnel, bytes);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    ::shutdown(tunnel->get(), SHUT_RDWR);
    if (failure) std::rethrow_exception(failure);
}

constexpr std::array kControlMethods{
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/Info", info},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/ListWorkers", list_workers},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/Solve", solve},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/Status", status},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/Session", session},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/DiskUsage", disk_usage},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/Prune", prune},
    std::pair<std::string_view, Method>{"/grpc.health.v1.Health/Check", health}};
}  // namespace

WireWriter worker_record() {
    return WireWriter().text(1, "berth").message(3, platform()).message(5, builder_version());
}

Method find_control_method(std::string_view name) {
    for (const auto& [known, method] : kControlMethods)
        if (known == name) return method;
    return nullptr;
}

}  // namespace berth::buildkit
