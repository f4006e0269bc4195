// The records of builds, those under way and those that are over. The latter are files below the
// data root: <digest of the ref>.record and .log. Few enough are kept to be all in memory, without
// their logs; the oldest that nobody pinned go. Engine thread; files are handled by a worker.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/sync.h"
#include "async/worker_pool.h"
#include "buildkit/build_record.h"

namespace berth::buildkit {

/// BuildHistoryEventType
enum class RecordChange { started = 0, complete = 1, deleted = 2 };

struct RecordEvent final {
    RecordChange change = RecordChange::started;
    BuildRecord record;
};

/// One who is told of every change from now on. Throws Error{unavailable} when it takes none.
class RecordListener final {
  public:
    async::Task<RecordEvent> next();

  private:
    friend class History;
    std::deque<RecordEvent> waiting_;
    bool lost_ = false;
    async::Condition changed_;
};

class History final {
  public:
    History(std::string directory, async::WorkerPool& work)
        : directory_(std::move(directory)), work_(work) {}
    History(const History&) = delete;
    History& operator=(const History&) = delete;

    void begin(BuildRecord record);
    /// The build is over; once this is done, its record survives the engine.
    async::Task<> finish(BuildRecord record, std::string log);

    /// Those under way, then the others; each the newest first.
    async::Task<std::vector<RecordEvent>> list();
    std::shared_ptr<RecordListener> listen();
    /// Nothing for a build that is not over, or that nobody knows.
    async::Task<std::optional<std::string>> log(std::string ref);
    /// The record whose log has that digest. Throws Error{not_found}.
    async::Task<BuildRecord> owner_of(std::string digest);
    /// Both throw Error{not_found}.
    async::Task<> remove(std::string ref);
    async::Task<> pin(std::string ref, bool pinned);

  private:
    async::Task<> load();
    async::Task<> write(BuildRecord record, std::optional<std::string> log);
    async::Task<> forget(std::string ref);
    async::Task<> remove_oldest();
    void tell(RecordChange change, const BuildRecord& record);
    std::string path_of(const std::string& ref, std::string_view kind) const;

    const std::string directory_;
    async::WorkerPool& work_;
    async::Lock loading_;
    bool loaded_ = false;
    std::map<std::string, BuildRecord> running_, over_;  // by ref
    std::vector<std::weak_ptr<RecordListener>> listeners_;
};

}  // namespace berth::buildkit
