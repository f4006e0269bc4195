#include "engine/containers/stop.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "engine/containers/exit.h"
#include "engine/containers/pause.h"
#include "engine/containers/start.h"
#include "engine/containers/wait.h"
#include "engine/model/signals.h"

namespace berth::engine {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kUndelivered{2};
constexpr std::chrono::seconds kKillTime{20};

enum class Delivery { sent, failed };

/// Waits for the end of the present run. No deadline when `deadline` is empty.
async::Task<async::Wake> wait_exit(ContainerPtr container, std::optional<SteadyTime> deadline) {
    while (container->state().is_running()) {
        if (!deadline) {
            co_await container->changed.wait();
            continue;
        }
        const async::Wake wake = co_await container->changed.wait_until(*deadline);
        if (wake == async::Wake::deadline && container->state().is_running())
            co_return async::Wake::deadline;
    }
    co_return async::Wake::notified;
}

/// By pidfd, not through the shim: a shim that does not answer must not keep a container alive.
Delivery send_signal(const ContainerState& state, const Container& container, int number) {
    if (!container.process) return Delivery::failed;
    if (syscall(SYS_pidfd_send_signal, container.process.get(), number, nullptr, 0) < 0)
        return errno == ESRCH ? Delivery::sent : Delivery::failed;
    state.publish(container, "kill", {{"signal", std::to_string(number)}});
    return Delivery::sent;
}

int stop_signal(const Container& container, const StopOptions& options) {
    if (options.signal && !options.signal->empty()) return model::signal_from(*options.signal);
    const std::string& own = container.record.config.stop_signal;
    return own.empty() ? SIGTERM : model::signal_from(own);
}

void mark_stopped_by_hand(ContainerState& state, Container& container) {
    // A stop by the engine is none by hand: `unless-stopped` starts again with the engine.
    if (state.shutting_down || container.record.manually_stopped) return;
    container.record.manually_stopped = true;
    state.save_event(container);
}

/// Signal, patience, SIGKILL.
async::Task<void> stop_running(ContainerState& state, ContainerPtr container, StopOptions options) {
    const int number = stop_signal(*container, options);
    const auto own = container->record.config.stop_timeout_s;
    const int seconds = options.timeout_s.value_or(
        static_cast<int>(own.value_or(state.settings().default_stop_timeout_s)));
    const Delivery delivery = send_signal(state, *container, number);
    co_await unpause_for_signal(state, container);
    std::optional<SteadyTime> deadline;
    if (delivery == Delivery::failed) {
        deadline = steady_clock::now() + kUndelivered;
    } else if (seconds >= 0) {
        deadline = steady_clock::now() + std::chrono::seconds(seconds);
    }
    const async::Wake wake = co_await wait_exit(container, deadline);
    if (wake == async::Wake::deadline) co_await kill_and_wait(state, container);
}

}  // namespace

async::Task<void> kill_and_wait(ContainerState& state, ContainerPtr container) {
    send_signal(state, *container, SIGKILL);
    const async::Wake wake = co_await wait_exit(container, steady_clock::now() + kKillTime);
    if (wake == async::Wake::deadline)
        throw Error(ErrorKind::internal, "container {} does not end after SIGKILL",
                    container->id());
}

async::Task<void> stop_container(ContainerState& state, ContainerPtr container,
                                 StopOptions options) {
    {
        // A start that is going on comes first.
        const async::Lock::Guard guard = co_await container->operations.acquire();
        if (!container->state().is_running())
            throw Error(ErrorKind::not_modified, "container {} is not running", container->id());
        stop_signal(*container, options);
        mark_stopped_by_hand(state, *container);
        cancel_restart(state, *container);
        // Stopped in the pause before a restart: no exit will come.
        if (!container->state().is_running())
            finish_exit_waits(*container, {container->state().exit_code, ""});
    }
    if (container->state().is_running()) co_await stop_running(state, container, options);
    state.publish(*container, "stop");
}

int kill_signal(const std::string& name, const std::string& text) {
    if (text.empty()) return SIGKILL;
    try {
        return model::signal_from(text);
    } catch (Error& error) {
        throw error.while_("cannot kill container: {}", name);
    }
}

async::Task<void> kill_container(ContainerState& state, ContainerPtr container, std::string name,
                                 std::string signal) {
    const int number = kill_signal(name, signal);
    if (container->starting) co_await container->operations.acquire();
    const std::string& own = container->record.config.stop_signal;
    const bool ends = own.empty() || number == SIGKILL || number == model::signal_from(own);
    if (container->state().status == model::Status::restarting && ends) {
        mark_stopped_by_hand(state, *container);
        cancel_restart(state, *container);
        finish_exit_waits(*container, {container->state().exit_code, ""});
        co_return;
    }
    if (!container->state().is_running() || !container->process)
        throw Error(ErrorKind::conflict, "cannot kill container: {}: container {} is not running",
                    name, container->id());
    if (ends) mark_stopped_by_hand(state, *container);
    if (number == SIGKILL) {
        co_await kill_and_wait(state, container);
        co_return;
    }
    if (send_signal(state, *container, number) == Delivery::failed)
        throw_errno("sending signal {} to container {}", number, container->id());
    co_await unpause_for_signal(state, container);
}

async::Task<void> restart_container(ContainerState& state, ContainerPtr container,
                                    StopOptions options) {
    container->keep_after_exit = true;
    std::exception_ptr failure;
    try {
        if (container->state().is_running()) co_await stop_container(state, container, options);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_modified) failure = std::current_exception();
    }
    if (!failure) {
        try {
            co_await start_by_hand(state, container);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::not_modified) failure = std::current_exception();
        }
    }
    container->keep_after_exit = false;
    if (failure) std::rethrow_exception(failure);
    state.publish(*container, "restart");
}

}  // namespace berth::engine
