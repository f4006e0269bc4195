// Build records for clients (docker buildx history): Control's two methods, and the content store
// that their logs are read from when a record is exported.
#include <array>
#include <utility>

#include "buildkit/methods.h"

namespace berth::buildkit {

using grpc::WireReader;
using grpc::WireWriter;

namespace {
constexpr std::size_t kContentPiece = 1U << 20;

/// BuildHistoryRequest
struct HistoryRequest final {
    bool running_only = false;
    std::string ref;
    bool early_exit = false;  // what there is now, no changes
    std::uint64_t limit = 0;
};

// Filters are left to the clients: those that send any apply them once more.
HistoryRequest decode_request(std::string_view bytes) {
    HistoryRequest request;
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 1) request.running_only = field.number() != 0;
        if (field.field() == 2) request.ref = field.text();
        if (field.field() == 3) request.early_exit = field.number() != 0;
        if (field.field() == 5) request.limit = field.number();
    }
    return request;
}

std::string event_message(const RecordEvent& event) {
    return WireWriter()
        .number(1, static_cast<std::uint64_t>(event.change))
        .message(2, std::string_view(encode(event.record)))
        .take();
}

bool is_wanted(const RecordEvent& event, const HistoryRequest& request) {
    if (request.running_only && event.change == RecordChange::complete) return false;
    return request.ref.empty() || request.ref == event.record.ref;
}

async::Task<> listen_history(Service& service, grpc::Call call) {
    const HistoryRequest request = decode_request(co_await call.read_one());
    const auto listener = service.history().listen();
    // Clients reckon from it how long builds have been running.
    call.respond({{"buildkit-current-timestamp", rfc3339(Timestamp::now())}});
    std::uint64_t sent = 0;
    for (const RecordEvent& event : co_await service.history().list()) {
        if (!is_wanted(event, request)) continue;
        co_await call.write(event_message(event));
        if (++sent == request.limit) break;
    }
    while (!request.early_exit) {
        const RecordEvent event = co_await listener->next();
        if (request.ref.empty() || request.ref == event.record.ref)
            co_await call.write(event_message(event));
    }
}

/// UpdateBuildHistoryRequest. "Finalize" asks for what is done when a record is written.
async::Task<> update_history(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    std::string ref = decode_text(request);
    bool pinned = false;
    bool remove = false;
    bool finalize = false;
    for (WireReader field(request); field.next();) {
        if (field.field() == 2) pinned = field.number() != 0;
        if (field.field() == 3) remove = field.number() != 0;
        if (field.field() == 4) finalize = field.number() != 0;
    }
    if (remove)
        co_await service.history().remove(std::move(ref));
    else if (!finalize)
        co_await service.history().pin(std::move(ref), pinned);
    co_await call.write(std::string());
}

/// containerd's InfoRequest
async::Task<> content_info(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    std::string digest = decode_text(request);
    const BuildRecord record = co_await service.history().owner_of(std::move(digest));
    WireWriter info;
    info.text(1, record.log_digest).number(2, static_cast<std::uint64_t>(record.log_size));
    co_await call.write(WireWriter().message(1, info).take());
}

/// containerd's ReadContentRequest
async::Task<> read_content(Service& service, grpc::Call call) {
    const std::string request = co_await call.read_one();
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    for (WireReader field(request); field.next();) {
        if (field.field() == 2) offset = field.number();
        if (field.field() == 3) size = field.number();
    }
    std::string digest = decode_text(request);
    BuildRecord record = co_await service.history().owner_of(std::move(digest));
    const auto log = co_await service.history().log(std::move(record.ref));
    if (!log) throw Error(ErrorKind::not_found, "content {}: not found", record.log_digest);
    const std::string& content = *log;
    if (offset > content.size()) throw Error(ErrorKind::invalid, "the offset is past the content");
    std::string_view rest = std::string_view(content).substr(offset);
    if (size != 0) rest = rest.substr(0, size);
    while (!rest.empty()) {
        const std::string_view piece = rest.substr(0, kContentPiece);
        std::string message = WireWriter().number(1, offset).text(2, piece).take();
        co_await call.write(std::move(message));
        offset += piece.size();
        rest.remove_prefix(piece.size());
    }
}

constexpr std::array kHistoryMethods{
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/ListenBuildHistory",
                                        listen_history},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.Control/UpdateBuildHistory",
                                        update_history},
    std::pair<std::string_view, Method>{"/containerd.services.content.v1.Content/Info",
                                        content_info},
    std::pair<std::string_view, Method>{"/containerd.services.content.v1.Content/Read",
                                        read_content}};
}  // namespace

Methods history_methods() { return kHistoryMethods; }

}  // namespace berth::buildkit
