#include "buildkit/progress.h"

#include <algorithm>
#include <utility>

#include "base/id.h"
#include "buildkit/messages.h"

namespace berth::buildkit {

using grpc::WireWriter;

namespace {
constexpr std::size_t kMostWaiting = 4U << 20;
constexpr std::size_t kMostKept = 4U << 20;
// Of them for what is told after much output: which steps there were.
constexpr std::size_t kKeptForSteps = 1U << 20;
// Fields of StatusResponse.
constexpr unsigned kVertexes = 1;
constexpr unsigned kStatuses = 2;
constexpr unsigned kLogs = 3;
constexpr unsigned kWarnings = 4;

WireWriter log_message(const Vertex& vertex, int stream, std::string_view bytes) {
    const WireWriter message = WireWriter()
                                   .text(1, vertex)
                                   .message(2, encode(Timestamp::now()))
                                   .number(3, static_cast<std::uint64_t>(stream))
                                   .text(4, bytes);
    return WireWriter().message(kLogs, message);
}

WireWriter position(int line) { return WireWriter().number(1, static_cast<std::uint64_t>(line)); }
}  // namespace

async::Task<std::optional<std::string>> ProgressReader::next() {
    while (waiting_.empty() && !finished_) co_await changed_.wait();
    if (waiting_.empty()) co_return std::nullopt;
    clipped_ = false;
    co_return std::exchange(waiting_, {});
}

void Progress::add(Worth worth, std::string_view encoded) {
    const std::size_t most = worth == Worth::needed ? kMostKept : kMostKept - kKeptForSteps;
    if (worth != Worth::passing && kept_.size() + encoded.size() <= most)
        add_to_log(kept_, encoded);
    std::erase_if(readers_, [](const auto& reader) { return reader.expired(); });
    for (const auto& weak : readers_) {
        const auto reader = weak.lock();
        if (worth != Worth::needed && reader->waiting_.size() + encoded.size() > kMostWaiting) {
            if (worth == Worth::output && !std::exchange(reader->clipped_, true))
                reader->waiting_ += clipped_message_;
            continue;
        }
        reader->waiting_ += encoded;
        reader->changed_.notify_all();
    }
}

void Progress::put(const Vertex& vertex, const Step& step) {
    WireWriter message;
    message.text(1, vertex).text(3, step.name).number(4, step.cached ? 1 : 0);
    if (step.started.ns != 0) message.message(5, encode(step.started));
    if (step.completed.ns != 0) message.message(6, encode(step.completed));
    message.text(7, step.error);
    add(Worth::needed, WireWriter().message(kVertexes, message).bytes());
}

Vertex Progress::begin(std::string name) {
    const Vertex vertex = "sha256:" + random_hex_id();
    Step step;
    step.name = std::move(name);
    step.started = Timestamp::now();
    put(vertex, step);
    ++counts_.total;
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
    if (step.cached) ++counts_.cached;
    if (error.empty()) ++counts_.completed;
    put(vertex, step);
}

void Progress::log(const Vertex& vertex, int stream, std::string_view bytes) {
    clipped_message_ =
        log_message(vertex, stream, "[output clipped: the client does not take it]\n").take();
    add(Worth::output, log_message(vertex, stream, bytes).bytes());
}

void Progress::put_transfer(const Vertex& vertex, const std::string& name, const Transfer& transfer,
                            Timestamp completed) {
    WireWriter message;
    message.text(1, name).text(2, vertex).text(3, name);
    message.number(4, static_cast<std::uint64_t>(transfer.current));
    message.number(5, static_cast<std::uint64_t>(transfer.total));
    message.message(6, encode(Timestamp::now())).message(7, encode(transfer.started));
    if (completed.ns != 0) message.message(8, encode(completed));
    add(completed.ns != 0 ? Worth::needed : Worth::passing,
        WireWriter().message(kStatuses, message).bytes());
}

void Progress::transfer(const Vertex& vertex, const std::string& name, std::int64_t current,
                        std::int64_t total) {
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

void Progress::warn(const BuildWarning& warning) {
    ++counts_.warnings;
    WireWriter message;
    message.number(2, 1).text(3, warning.text).text(4, warning.detail).text(5, warning.url);
    if (warning.line > 0) {
        message.message(
            6,
            WireWriter().text(1, warning.filename).text(2, warning.source).text(4, "Dockerfile"));
        message.message(7, WireWriter()
                               .message(1, position(warning.line))
                               .message(2, position(warning.last_line)));
    }
    add(Worth::needed, WireWriter().message(kWarnings, message).bytes());
}

void Progress::finish(const std::string& error) {
    while (!open_.empty()) complete(open_.begin()->first, error);
    finished_ = true;
    for (const auto& weak : readers_) {
        const auto reader = weak.lock();
        if (!reader) continue;
        reader->finished_ = true;
        reader->changed_.notify_all();
    }
}

std::shared_ptr<ProgressReader> Progress::read() {
    auto reader = std::make_shared<ProgressReader>();
    for (const std::string& message : read_log(kept_)) reader->waiting_ += message;
    reader->finished_ = finished_;
    readers_.push_back(reader);
    return reader;
}

}  // namespace berth::buildkit
