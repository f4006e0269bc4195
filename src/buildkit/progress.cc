#include "buildkit/progress.h"

#include "base/id.h"
#include "buildkit/messages.h"

namespace berth::buildkit {

using grpc::WireWriter;

namespace {
constexpr std::size_t kMostWaiting = 4U << 20;
// Fields of StatusResponse.
constexpr unsigned kVertexes = 1;
constexpr unsigned kStatuses = 2;
constexpr unsigned kLogs = 3;
constexpr unsigned kWarnings = 4;
}  // namespace

void Progress::add(std::string_view encoded) {
    waiting_ += encoded;
    changed_.notify_all();
}

void Progress::put(const Vertex& vertex, const Step& step) {
    WireWriter message;
    message.text(1, vertex).text(3, step.name).number(4, step.cached ? 1 : 0);
    if (step.started.ns != 0) message.message(5, encode(step.started));
    if (step.completed.ns != 0) message.message(6, encode(step.completed));
    message.text(7, step.error);
    add(WireWriter().message(kVertexes, message).bytes());
}

Vertex Progress::begin(std::string name) {
    const Vertex vertex = "sha256:" + random_hex_id();
    Step step;
    step.name = std::move(name);
    step.started = Timestamp::now();
    put(vertex, step);
    open_.emplace(vertex, std::move(step));
    return vertex;
}

void Progress::cached(const Vertex& vertex) {
    if (const auto found = open_.find(vertex); found != open_.end()) found->second.cached = true;
}

void Progress::complete(Vertex vertex, const std::string& error) {
    const auto found = open_.find(vertex);
    if (found == open_.end()) return;
    Step step = std::move(found->second);
    open_.erase(found);
    step.completed = Timestamp::now();
    step.error = error;
    put(vertex, step);
}

void Progress::log(const Vertex& vertex, int stream, std::string_view bytes) {
    if (waiting_.size() + bytes.size() > kMostWaiting) {
        if (std::exchange(clipped_, true)) return;
        bytes = "[output clipped: the client does not take it]\n";
    }
    const WireWriter message = WireWriter()
                                   .text(1, vertex)
                                   .message(2, encode(Timestamp::now()))
                                   .number(3, static_cast<std::uint64_t>(stream))
                                   .text(4, bytes);
    add(WireWriter().message(kLogs, message).bytes());
}

void Progress::put_transfer(const Vertex& vertex, const std::string& name, const Transfer& transfer,
                            Timestamp completed) {
    WireWriter message;
    message.text(1, name).text(2, vertex).text(3, name);
    message.number(4, static_cast<std::uint64_t>(transfer.current));
    message.number(5, static_cast<std::uint64_t>(transfer.total));
    message.message(6, encode(Timestamp::now())).message(7, encode(transfer.started));
    if (completed.ns != 0) message.message(8, encode(completed));
    add(WireWriter().message(kStatuses, message).bytes());
}

void Progress::transfer(const Vertex& vertex, const std::string& name, std::int64_t current,
                        std::int64_t total) {
    if (waiting_.size() > kMostWaiting) return;
    auto& transfer = transfers_[{vertex, name}];
    if (transfer.started.ns == 0) transfer.started = Timestamp::now();
    transfer.current = current;
    transfer.total = total;
    put_transfer(vertex, name, transfer, {});
}

void Progress::transferred(const Vertex& vertex, const std::string& name) {
    const auto found = transfers_.find({vertex, name});
    if (found == transfers_.end()) return;
    put_transfer(vertex, name, found->second, Timestamp::now());
    transfers_.erase(found);
}

void Progress::warn(std::string_view text) {
    const WireWriter message = WireWriter().number(2, 1).text(3, text);
    add(WireWriter().message(kWarnings, message).bytes());
}

void Progress::finish(const std::string& error) {
    while (!open_.empty()) complete(open_.begin()->first, error);
    finished_ = true;
    changed_.notify_all();
}

async::Task<std::optional<std::string>> Progress::next() {
    while (waiting_.empty() && !finished_) co_await changed_.wait();
    if (waiting_.empty()) co_return std::nullopt;
    clipped_ = false;
    co_return std::exchange(waiting_, {});
}

}  // namespace berth::buildkit
