#include "net/namespace_thread.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "linux/enter_namespaces.h"

namespace berth::net {

NamespaceThread::NamespaceThread(BorrowedFd pidfd) : thread_([this] { loop(); }) {
    try {
        run([&] {
            linux_os::enter_network_namespace(pidfd);
            namespace_ = open_file("/proc/thread-self/ns/net", O_RDONLY);
        });
    } catch (...) {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
        throw;
    }
}

NamespaceThread::~NamespaceThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void NamespaceThread::run(const std::function<void()>& job) {
    const std::lock_guard turn(turn_);
    std::unique_lock lock(mutex_);
    job_ = &job;
    done_ = false;
    failure_ = nullptr;
    changed_.notify_all();
    changed_.wait(lock, [&] { return done_; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void NamespaceThread::run_in(BorrowedFd other, const std::function<void()>& job) {
    run([&] {
        linux_os::enter_network_namespace(other);
        std::exception_ptr failure;
        try {
            job();
        } catch (...) {
            failure = std::current_exception();
        }
        try {
            linux_os::enter_network_namespace(namespace_);
        } catch (const Error& error) {
            // Any further job would run in a container's namespace: better to start anew.
            log::error("cannot come back from a container's network namespace: {}",
                       error.message());
            std::terminate();
        }
        if (failure) std::rethrow_exception(failure);
    });
}

void NamespaceThread::loop() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [&] { return stopping_ || job_; });
        if (!job_) return;
        const std::function<void()>& job = *job_;
        lock.unlock();
        std::exception_ptr failure;
        try {
            job();
        } catch (...) {
            failure = std::current_exception();
        }
        lock.lock();
        job_ = nullptr;
        failure_ = failure;
        done_ = true;
        changed_.notify_all();
    }
}

}  // namespace berth::net
