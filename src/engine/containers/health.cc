#include "engine/containers/health.h"

#include "engine/model/health.h"

namespace berth::engine {

namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

nanoseconds age_at(const Container& container, Timestamp at) {
    return nanoseconds(at.ns - container.record.state.started_at.ns);
}

/// A probe that cannot be run is a failed one, with the error as its output.
async::Task<model::ProbeResult> probe(ContainerState& state, ContainerPtr container,
                                      nanoseconds timeout) {
    model::ProbeResult result;
    result.start = Timestamp::now();
    const SteadyTime deadline = steady_clock::now() + timeout;
    try {
        ExecOutcome outcome =
            co_await state.run_exec(container, model::probe_command(container->record.config),
                                    deadline, model::kMaxProbeOutput);
        result.exit_code = outcome.timed_out ? -1 : outcome.exit_code;
        result.output = std::move(outcome.output);
        if (outcome.timed_out)
            result.output =
                fmt::format("Health check exceeded timeout ({}){}{}", model::duration_text(timeout),
                            result.output.empty() ? "" : ": ", result.output);
    } catch (...) {
        const Error error = async::to_error(std::current_exception());
        if (error.kind() == ErrorKind::cancelled) throw;
        result.exit_code = -1;
        result.output = error.message();
    }
    result.end = Timestamp::now();
    co_return result;
}

void book(ContainerState& state, Container& container, model::ProbeResult result,
          const model::HealthTimes& times) {
    std::optional<model::Health>& health = container.state().health;
    const model::HealthStatus before = health->status;
    const nanoseconds age = age_at(container, result.start);
    health = model::with_result(std::move(*health), std::move(result), times, age);
    if (health->status == before) return;
    state.save_event(container);
    state.publish(container, fmt::format("health_status: {}", model::to_string(health->status)));
}

async::Task<> watch(ContainerState& state, ContainerPtr container,
                    std::shared_ptr<async::Event> stopped) {
    const model::HealthTimes times = model::health_times(*container->record.config.healthcheck);
    const auto paused = [&] { return container->state().status == model::Status::paused; };
    while (!stopped->is_set()) {
        const nanoseconds pause = model::next_probe_in(*container->state().health, times,
                                                       age_at(*container, Timestamp::now()));
        co_await stopped->wait_until(steady_clock::now() + pause);
        if (paused()) {
            while (paused() && !stopped->is_set()) co_await container->changed.wait();
            continue;  // after a pause the interval begins anew
        }
        if (stopped->is_set()) co_return;
        model::ProbeResult result = co_await probe(state, container, times.timeout);
        // One that a pause or the container's end cut short says nothing.
        if (!stopped->is_set() && !paused()) book(state, *container, std::move(result), times);
    }
}

void start_watching(ContainerState& state, const ContainerPtr& container) {
    const auto stopped = std::make_shared<async::Event>();
    container->health_stopped = stopped;
    state.deps.context.tasks.spawn("health check", watch(state, container, stopped));
}

}  // namespace

void begin_health(ContainerState& state, const ContainerPtr& container) {
    container->state().health.reset();
    if (model::probe_command(container->record.config).empty()) return;
    container->state().health.emplace();
    start_watching(state, container);
}

void resume_health(ContainerState& state, const ContainerPtr& container) {
    if (model::probe_command(container->record.config).empty()) return;
    if (!container->state().health) container->state().health.emplace();
    start_watching(state, container);
}

void end_health(Container& container) {
    if (container.health_stopped) container.health_stopped->set();
    container.health_stopped.reset();
    // As Docker has it: nobody takes a container that has ended for a healthy one.
    if (container.state().health) container.state().health->status = model::HealthStatus::unhealthy;
}

}  // namespace berth::engine
