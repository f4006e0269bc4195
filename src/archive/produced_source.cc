#include "archive/produced_source.h"

#include <fcntl.h>

#include <utility>

namespace berth::archive {

ProducedSource::ProducedSource(std::function<void(Sink&)> produce) {
    Pipe pipe = Pipe::make();
    constexpr int kPipeSize = 1 << 20;
    ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeSize);  // as large as this user may have it
    from_ = std::move(pipe.read);
    thread_ =
        std::thread([this, work = std::move(produce), into = std::move(pipe.write)]() mutable {
            const UniqueFd file = std::move(into);
            try {
                FdSink sink(file);
                work(sink);
            } catch (...) {
                failure_ = std::current_exception();
            }
        });
}

ProducedSource::~ProducedSource() {
    from_.reset();
    if (thread_.joinable()) thread_.join();
}

std::size_t ProducedSource::read(std::span<char> buffer) {
    if (const std::size_t count = FdSource(from_).read(buffer)) return count;
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return 0;
}

}  // namespace berth::archive
