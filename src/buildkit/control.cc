// moby.buildkit.v1.Control: builds, their progress, what the builder is.
#include <array>
#include <utility>

#include "base/text.h"
#include "buildkit/byte_stream.h"
#include "buildkit/methods.h"
#include "engine/engine.h"
#include "image/platform.h"
#include "linux/socket_pair.h"

namespace berth::buildkit {

using grpc::WireWriter;

namespace {

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

WireWriter usage_record(const engine::CacheFacts& cache) {
    return WireWriter()
        .text(1, cache.name)
        .number(2, 1)
        .number(3, cache.in_use ? 1 : 0)
        .number(4, static_cast<std::uint64_t>(cache.size))
        .message(6, encode(cache.created))
        .message(7, encode(cache.used))
        .text(9, cache.description())
        .text(10, engine::kCacheType);
}

/// "type==exec.cachemount,shared": all must match.
void add_filters(std::string_view text, engine::Filters& filters) {
    for (const std::string_view filter : words_of(text, ",")) {
        const std::size_t end = std::min(filter.find_first_of("=~!"), filter.size());
        std::string_view value = filter.substr(end);
        while (value.starts_with('=') || value.starts_with('~')) value.remove_prefix(1);
        filters.add(std::string(filter.substr(0, end)),
                    value.empty() ? "true" : std::string(value));
    }
}

// The directories of RUN --mount=type=cache. Other steps' cache is their images.
async::Task<> disk_usage(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    engine::Filters filters;
    for (grpc::WireReader field(request); field.next();)
        if (field.field() == 1) add_filters(field.text(), filters);
    const std::vector<engine::CacheFacts> caches =
        co_await service.engine().housekeeping().build_cache(std::move(filters));
    WireWriter message;
    for (const engine::CacheFacts& cache : caches) message.message(1, usage_record(cache));
    co_await call.write(message.take());
}

/// PruneRequest
async::Task<> prune(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    engine::Filters filters;
    engine::CacheLimits limits;
    for (grpc::WireReader field(request); field.next();) {
        const auto number = static_cast<std::int64_t>(field.number());
        if (field.field() == 1) add_filters(field.text(), filters);
        if (field.field() == 3 && number > 0) filters.add("until", std::to_string(number) + "ns");
        if (field.field() == 4) limits.reserved = number;
        if (field.field() == 5) limits.max_used = number;
        if (field.field() == 6) limits.min_free = number;
    }
    const std::vector<engine::CacheFacts> removed =
        co_await service.engine().housekeeping().prune_build_cache(std::move(filters), limits);
    for (const engine::CacheFacts& cache : removed) {
        std::string record = usage_record(cache).take();
        co_await call.write(std::move(record));
    }
}

/// grpc.health.v1: SERVING
async::Task<> health(Service&, grpc::Call call) { co_await reply(call, WireWriter().number(1, 1)); }

async::Task<> solve(Service& service, grpc::Call call) {
    const auto build = std::make_shared<Build>();
    build->request = decode_control_solve(co_await call.read_one());
    co_await service.solve(build);
    co_await call.write(WireWriter().map(1, build->response).take());
}

async::Task<> status(Service& service, grpc::Call call) {
    const std::string ref = decode_text(co_await call.read_one());
    std::string over = ref;
    const auto log = co_await service.history().log(std::move(over));
    if (log) {
        for (const std::string& message : read_log(*log)) co_await call.write(message);
        co_return;
    }
    const auto build = co_await service.find_build(ref);
    const auto reader = build->progress->read();
    for (;;) {
        auto message = co_await reader->next();
        if (!message) break;
        co_await call.write(std::move(*message));
    }
}

// A session inside of a call: the same bytes as of POST /session, in messages.
async::Task<> session(Service& service, grpc::Call call) {
    SessionHead head = session_head(call.metadata());
    auto [ours, theirs] = linux_os::stream_socket_pair();
    service.tasks().spawn("BuildKit session",
                          service.serve_session(std::move(ours), "", std::move(head)));
    co_await carry_bytes(call, std::move(theirs), service.tasks(), grpc::Role::server);
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

Methods control_methods() { return kControlMethods; }

}  // namespace berth::buildkit
