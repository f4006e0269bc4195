#include "buildkit/history.h"

#include <fcntl.h>

#include <algorithm>

#include "archive/digester.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/entry_file.h"

namespace berth::buildkit {

namespace {
constexpr std::size_t kMostRecords = 50;  // as BuildKit keeps, and as many as clients list
constexpr std::size_t kMostEvents = 1000;
constexpr std::string_view kRecord = ".record";
constexpr std::string_view kLog = ".log";

/// What is damaged is passed over: a record is nothing that anybody needs to go on.
std::vector<BuildRecord> read_records(const std::string& directory) {
    std::vector<BuildRecord> records;
    if (!exists(directory)) return records;
    const UniqueFd opened = open_file(directory, O_RDONLY | O_DIRECTORY);
    for (const std::string& name : storage::names_in(opened, "")) {
        if (!name.ends_with(kRecord)) continue;
        try {
            records.push_back(decode_record(read_file(directory + "/" + name)));
        } catch (const Error& error) {
            log::warn("build record {}: {}", name, error.message());
        }
    }
    return records;
}

bool is_newer(const RecordEvent& one, const RecordEvent& other) {
    if (one.change != other.change) return one.change < other.change;
    return one.record.created > other.record.created;
}

Error unknown(const std::string& ref) {
    return Error(ErrorKind::not_found, "no build record {}", ref);
}
}  // namespace

async::Task<RecordEvent> RecordListener::next() {
    while (waiting_.empty() && !lost_) co_await changed_.wait();
    if (waiting_.empty()) throw Error(ErrorKind::unavailable, "build records change too fast");
    RecordEvent event = std::move(waiting_.front());
    waiting_.pop_front();
    co_return event;
}

void History::tell(RecordChange change, const BuildRecord& record) {
    std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
    for (const auto& weak : listeners_) {
        const auto listener = weak.lock();
        listener->lost_ = listener->lost_ || listener->waiting_.size() >= kMostEvents;
        if (!listener->lost_) listener->waiting_.push_back({change, record});
        listener->changed_.notify_all();
    }
}

std::shared_ptr<RecordListener> History::listen() {
    auto listener = std::make_shared<RecordListener>();
    listeners_.push_back(listener);
    return listener;
}

// A ref is the client's text: never a path.
std::string History::path_of(const std::string& ref, std::string_view kind) const {
    return fmt::format("{}/{}{}", directory_, archive::sha256(ref).hex(), kind);
}

async::Task<> History::load() {
    const async::Lock::Guard guard = co_await loading_.acquire();
    if (loaded_) co_return;
    auto read = [directory = directory_] { return read_records(directory); };
    for (BuildRecord& record : co_await work_.run(std::move(read)))
        over_.try_emplace(record.ref, std::move(record));
    loaded_ = true;
}

async::Task<> History::write(BuildRecord record, std::optional<std::string> log) {
    auto job = [directory = directory_, text = encode(record), log = std::move(log),
                log_path = path_of(record.ref, kLog), record_path = path_of(record.ref, kRecord)] {
        make_directories(directory, 0700);
        if (log) replace_file(log_path, *log, 0600, Durability::process);
        replace_file(record_path, text, 0600, Durability::process);
    };
    co_await work_.run(std::move(job));
}

async::Task<> History::forget(std::string ref) {
    auto job = [log_path = path_of(ref, kLog), record_path = path_of(ref, kRecord)] {
        remove_tree(record_path);
        remove_tree(log_path);
    };
    over_.erase(ref);
    BuildRecord gone;
    gone.ref = std::move(ref);
    tell(RecordChange::deleted, gone);
    co_await work_.run(std::move(job));
}

void History::begin(BuildRecord record) {
    tell(RecordChange::started, record);
    running_.insert_or_assign(record.ref, std::move(record));
}

async::Task<> History::finish(BuildRecord record, std::string log) {
    co_await load();
    const std::string ref = record.ref;
    if (!log.empty()) {
        record.log_digest = archive::sha256(log).str();
        record.log_size = static_cast<std::int64_t>(log.size());
    }
    co_await write(record, std::move(log));
    running_.erase(ref);
    tell(RecordChange::complete, record);
    over_.insert_or_assign(ref, std::move(record));
    co_await remove_oldest();
}

async::Task<> History::remove_oldest() {
    std::vector<std::pair<Timestamp, std::string>> removable;
    for (const auto& [ref, record] : over_)
        if (!record.pinned) removable.emplace_back(record.created, ref);
    std::ranges::sort(removable, std::greater());
    for (std::size_t i = kMostRecords; i < removable.size(); ++i) {
        std::string ref = removable[i].second;
        co_await forget(std::move(ref));
    }
}

async::Task<std::vector<RecordEvent>> History::list() {
    co_await load();
    std::vector<RecordEvent> events;
    for (const auto& [ref, record] : running_) events.push_back({RecordChange::started, record});
    for (const auto& [ref, record] : over_) events.push_back({RecordChange::complete, record});
    std::ranges::sort(events, is_newer);
    co_return events;
}

async::Task<std::optional<std::string>> History::log(std::string ref) {
    co_await load();
    if (!over_.contains(ref)) co_return std::nullopt;
    auto read = [path = path_of(ref, kLog)] { return read_file_if_exists(path).value_or(""); };
    co_return co_await work_.run(std::move(read));
}

async::Task<BuildRecord> History::owner_of(std::string digest) {
    co_await load();
    const auto has_digest = [&](const auto& entry) { return entry.second.log_digest == digest; };
    const auto found = std::ranges::find_if(over_, has_digest);
    if (digest.empty() || found == over_.end())
        throw Error(ErrorKind::not_found, "content {}: not found", digest);
    co_return found->second;
}

async::Task<> History::remove(std::string ref) {
    co_await load();
    if (!over_.contains(ref)) throw unknown(ref);
    co_await forget(std::move(ref));
}

async::Task<> History::pin(std::string ref, bool pinned) {
    co_await load();
    const auto found = over_.find(ref);
    if (found == over_.end()) throw unknown(ref);
    found->second.pinned = pinned;
    ++found->second.generation;
    BuildRecord record = found->second;
    tell(RecordChange::complete, record);
    co_await write(std::move(record), std::nullopt);
}

}  // namespace berth::buildkit
