#include "engine/containers/logs.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "async/sync.h"
#include "base/number.h"
#include "engine/containers/journal_log.h"
#include "engine/containers/log_reader.h"
#include "engine/model/times.h"

namespace berth::engine {

namespace {

/// Wakes when the log's directory changes: a write, or a new file after a rotation.
UniqueFd watch_directory(const std::string& directory) {
    UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch) throw_errno("inotify_init1");
    if (inotify_add_watch(watch.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM) < 0)
        throw_errno("watching {}", directory);
    return watch;
}

void drain(BorrowedFd watch) {
    char buffer[4096];
    while (read(watch.get(), buffer, sizeof buffer) > 0) {
    }
}

class FileLogStream final : public LogStream {
  public:
    FileLogStream(ContainerState& state, const Container& container, const LogFiles& files,
                  const LogSelection& selection, bool follow)
        : pool_(state.deps.context.pool),
          reader_(std::make_shared<LogReader>(files, selection)),
          kind_(selection.kind),
          until_(selection.until) {
        if (!follow) return;
        container_ = state.find(container.record.id);
        watch_ = watch_directory(files.path.substr(0, files.path.rfind('/')));
    }

    StreamKind kind() const override { return kind_; }

    async::Task<std::optional<std::string>> next() override {
        while (true) {
            // The state is looked at first: what was written before the exit is read after it.
            const bool live = follows();
            if (watch_) drain(watch_);
            // The job keeps the reader, should the stream end with its client before it.
            auto job = [reader = reader_] { return reader->read(); };
            LogPiece piece = co_await pool_.run(std::move(job));
            if (!piece.bytes.empty()) co_return std::move(piece.bytes);
            if (piece.more) continue;
            if (!live || reader_->past_end()) co_return std::nullopt;
            // The state may have changed while the job ran.
            if (!follows()) continue;
            co_await container_->changed.wait_or_readable(watch_, model::steady_time_past(until_));
        }
    }

  private:
    bool follows() const {
        if (!container_ || container_->removed) return false;
        if (until_.ns != 0 && Timestamp::now() > until_) return false;
        return container_->record.state.is_running();
    }

    async::WorkerPool& pool_;
    std::shared_ptr<LogReader> reader_;
    StreamKind kind_;
    Timestamp until_;
    ContainerPtr container_;
    UniqueFd watch_;
};

}  // namespace

std::unique_ptr<LogStream> open_log(ContainerState& state, const Container& container,
                                    const LogRequest& request, std::optional<StreamKind> kind) {
    const model::ContainerRecord& record = container.record;
    if (!request.stdout_ && !request.stderr_)
        throw Error(ErrorKind::invalid, "Bad parameters: you must choose at least one stream");
    if (container.removing || record.state.status == model::Status::dead)
        throw Error(ErrorKind::conflict,
                    "can not get logs from container which is dead or marked for removal");
    const std::string& driver = record.host_config.log_config.type;
    const auto files = log_files(record, state.directory(record.id));
    if (!files && driver != "journald")
        throw Error(ErrorKind::unsupported, "configured logging driver does not support reading");
    const Timestamp now = Timestamp::now();
    LogSelection selection;
    selection.stdout_ = request.stdout_;
    selection.stderr_ = request.stderr_;
    selection.timestamps = request.timestamps;
    selection.details = request.details;
    selection.since = model::time_from_query(request.since, now);
    selection.until = model::time_from_query(request.until, now);
    selection.tail = whole_number<std::size_t>(request.tail);
    selection.kind = kind.value_or(record.config.tty ? StreamKind::raw : StreamKind::multiplexed);
    if (driver == "journald")
        return open_journal_log(state.find(record.id), selection,
                                request.follow ? Follow::yes : Follow::no);
    return std::make_unique<FileLogStream>(state, container, *files, selection, request.follow);
}

}  // namespace berth::engine
