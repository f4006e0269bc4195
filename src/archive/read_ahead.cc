#include "archive/read_ahead.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

namespace berth::archive {

struct ReadAheadSource::Queue final {
    static constexpr std::size_t kMaxBlocks = 16;

    explicit Queue(Source& below) : thread([this, &below] { run(below); }) {}
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;
    ~Queue() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        changed.notify_all();
        thread.join();
    }

    void run(Source& below) {
        bool last = false;
        while (!last) {
            std::string block = free_block();
            std::size_t filled = 0;
            std::exception_ptr error;
            try {
                while (filled < block.size() && !last) {
                    const std::size_t count = below.read(std::span(block).subspan(filled));
                    filled += count;
                    last = count == 0;
                }
            } catch (...) {
                error = std::current_exception();
                last = true;
            }
            block.resize(filled);
            if (!hand_over(std::move(block), error, last)) return;
        }
    }

    // False when the reader has gone.
    bool hand_over(std::string block, std::exception_ptr error, bool last) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return stopping || blocks.size() < kMaxBlocks; });
        if (!block.empty()) blocks.push_back(std::move(block));
        failure = std::move(error);
        ended = last;
        changed.notify_all();
        return !stopping;
    }

    std::string free_block() {
        const std::lock_guard lock(mutex);
        if (spare.empty()) return std::string(kBlockSize, '\0');
        std::string block = std::move(spare.back());
        spare.pop_back();
        block.resize(kBlockSize);
        return block;
    }

    // Puts the next block into `current`; false at the end.
    bool advance() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !blocks.empty() || ended; });
        if (blocks.empty()) {
            if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
            return false;
        }
        if (!current.empty()) spare.push_back(std::move(current));
        current = std::move(blocks.front());
        blocks.pop_front();
        position = 0;
        changed.notify_all();
        return true;
    }

    // Guards blocks, spare, failure, ended and stopping; the rest is the reader's alone.
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> blocks;
    std::deque<std::string> spare;
    std::exception_ptr failure;
    bool ended = false;
    bool stopping = false;
    std::string current;
    std::size_t position = 0;
    std::thread thread;  // last: it uses all of the above
};

ReadAheadSource::ReadAheadSource(Source& below) : queue_(std::make_unique<Queue>(below)) {}
ReadAheadSource::~ReadAheadSource() = default;

std::size_t ReadAheadSource::read(std::span<char> buffer) {
    if (queue_->position == queue_->current.size() && !queue_->advance()) return 0;
    const std::size_t count = std::min(buffer.size(), queue_->current.size() - queue_->position);
    std::memcpy(buffer.data(), queue_->current.data() + queue_->position, count);
    queue_->position += count;
    return count;
}

}  // namespace berth::archive
