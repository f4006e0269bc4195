#include "net/loop_thread.h"

#include <sys/eventfd.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace berth::net {

namespace {

constexpr int kPauseMs = 10;  // without memory: not at full speed

}  // namespace

LoopThread::LoopThread() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw_errno("making an event descriptor");
    poller_.add(wake_, *this, EPOLLIN);
}

LoopThread::~LoopThread() { stop(); }

void LoopThread::start(std::function<int()> finish_round) {
    finish_round_ = std::move(finish_round);
    thread_ = std::thread([this] { run(); });
}

void LoopThread::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
}

void LoopThread::post(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
        if (jobs_.size() > 1) return;  // it was woken for the first
    }
    ::eventfd_write(wake_.get(), 1);
}

void LoopThread::on_events(std::uint32_t) {
    eventfd_t count = 0;
    ::eventfd_read(wake_.get(), &count);
}

void LoopThread::run() {
    int timeout = 0;
    while (true) {
        poller_.run_once(timeout);
        run_jobs();
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
        }
        try {
            timeout = finish_round_();
        } catch (const std::exception& error) {
            log::warn("a round of relayed traffic was cut short: {}", error.what());
            timeout = kPauseMs;
        }
    }
}

void LoopThread::run_jobs() {
    std::deque<std::function<void()>> jobs;
    {
        const std::lock_guard lock(mutex_);
        jobs.swap(jobs_);
    }
    for (auto& job : jobs) {
        try {
            job();
        } catch (const std::exception& error) {
            log::warn("relayed traffic was dropped: {}", error.what());
        }
    }
}

}  // namespace berth::net
