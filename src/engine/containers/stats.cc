#include "engine/containers/stats.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/containers/cgroup.h"
#include "engine/containers/stats_json.h"

namespace berth::engine {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kInterval{1};
// Containers that are due nearly together are read together.
constexpr std::chrono::milliseconds kTogether{50};

/// A sum over processes falls when one ends that none of them reaps. Clients expect it to rise.
class Rising final {
  public:
    std::uint64_t next(std::uint64_t value) {
        if (value < last_) lost_ += last_ - value;
        last_ = value;
        return value + lost_;
    }

  private:
    std::uint64_t last_ = 0;
    std::uint64_t lost_ = 0;
};

struct RisingSums final {
    Rising user, system, total, read_bytes, written_bytes;

    void apply(StatsSample& sample) {
        sample.cpu.user_ns = user.next(sample.cpu.user_ns);
        sample.cpu.system_ns = system.next(sample.cpu.system_ns);
        sample.cpu.total_ns = total.next(sample.cpu.total_ns);
        if (sample.block.size() != 1 || sample.block.front().major != 0) return;
        BlockUse& all = sample.block.front();
        all.read_bytes = read_bytes.next(all.read_bytes);
        all.written_bytes = written_bytes.next(all.written_bytes);
    }
};

bool has_own_network(const ContainerState& state, const model::ContainerRecord& record) {
    const std::string& mode = record.host_config.network_mode;
    if (!mode.starts_with("container:")) return mode != "host";
    const ContainerPtr owner = state.try_find(mode.substr(10));
    return !owner || owner->record.host_config.network_mode != "host";
}

bool has_processes(const Container& container) {
    const model::Status status = container.record.state.status;
    return (status == model::Status::running || status == model::Status::paused) &&
           container.record.state.pid != 0;
}

}  // namespace

struct StatsSampler::Watched final {
    Watched(ContainerPtr of, std::shared_ptr<async::Condition> wake_sampler)
        : container(std::move(of)), wake(std::move(wake_sampler)) {}
    ~Watched() { wake->notify_all(); }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    const ContainerPtr container;
    const std::shared_ptr<async::Condition> wake;
    async::Condition changed;
    std::uint64_t samples = 0;
    StatsSample latest;  // default: the container did not run
    SteadyTime due;      // of the next sample; at once after birth
    pid_t process1 = 0;  // that `rising` is of
    RisingSums rising;
};

StatsTarget stats_target(const ContainerState& state, const Container& container) {
    StatsTarget target;
    target.cgroup = cgroup_of(container.record);
    target.process1 = container.record.state.pid;
    target.own_network = has_own_network(state, container.record);
    return target;
}

std::shared_ptr<StatsSampler::Watched> StatsSampler::watch(const ContainerPtr& container) {
    std::weak_ptr<Watched>& entry = watched_[container->id()];
    std::shared_ptr<Watched> watched = entry.lock();
    if (!watched) {
        watched = std::make_shared<Watched>(container, wake_);
        entry = watched;
    }
    if (running_) {
        wake_->notify_all();
    } else {
        running_ = true;
        state_.deps.context.tasks.spawn("container statistics", run());
    }
    return watched;
}

std::vector<std::shared_ptr<StatsSampler::Watched>> StatsSampler::take_due(SteadyTime now) {
    std::erase_if(watched_, [](const auto& entry) { return entry.second.expired(); });
    std::vector<std::shared_ptr<Watched>> due;
    for (const auto& [id, weak] : watched_)
        if (const auto watched = weak.lock(); watched && watched->due <= now + kTogether)
            due.push_back(watched);
    return due;
}

async::Task<> StatsSampler::sample(std::vector<std::shared_ptr<Watched>> batch) {
    std::vector<StatsTarget> targets;
    for (const auto& watched : batch)
        targets.push_back(has_processes(*watched->container)
                              ? stats_target(state_, *watched->container)
                              : StatsTarget{});
    auto job = [targets] {
        const HostCpu host = read_host_cpu();
        std::vector<StatsSample> samples;
        for (const StatsTarget& target : targets)
            samples.push_back(target.process1 == 0 ? StatsSample{} : read_sample(target, host));
        return samples;
    };
    std::vector<StatsSample> samples = co_await state_.deps.context.pool.run(std::move(job));
    const SteadyTime now = steady_clock::now();
    for (std::size_t i = 0; i < batch.size(); ++i) {
        Watched& watched = *batch[i];
        if (std::exchange(watched.process1, targets[i].process1) != targets[i].process1)
            watched.rising = {};
        // It ended while it was read: a half-read sample would look like a sudden drop.
        const bool ended = !has_processes(*watched.container);
        watched.latest = ended ? StatsSample{} : std::move(samples[i]);
        // With a cgroup too: it may lack a controller (io, mostly), and its own figures only rise.
        if (!ended) watched.rising.apply(watched.latest);
        watched.due = std::max(watched.due + kInterval, now + kInterval - kTogether);
        ++watched.samples;
        watched.changed.notify_all();
    }
}

async::Task<> StatsSampler::run() {
    // The sampler goes with the engine's state; cancelled, it may still be in a job.
    const std::shared_ptr<StatsSampler> self = shared_from_this();
    const std::shared_ptr<void> end(nullptr, [this](void*) { running_ = false; });
    for (;;) {
        auto batch = take_due(steady_clock::now());
        if (watched_.empty()) co_return;
        if (!batch.empty()) {
            co_await sample(std::move(batch));
            continue;  // whoever came meanwhile is due
        }
        SteadyTime next = SteadyTime::max();
        for (const auto& [id, weak] : watched_)
            if (const auto watched = weak.lock()) next = std::min(next, watched->due);
        co_await wake_->wait_until(next);
    }
}

namespace {

class SampledStats final : public StatsStream {
  public:
    SampledStats(std::shared_ptr<StatsSampler::Watched> watched, StatsMode mode)
        : watched_(std::move(watched)), mode_(mode) {}

    async::Task<std::optional<nlohmann::json>> next() override {
        if (ended_) co_return std::nullopt;
        const Container& container = *watched_->container;
        while (true) {
            while (watched_->samples == seen_ && !container.removed)
                co_await watched_->changed.wait();
            if (container.removed) co_return std::nullopt;
            seen_ = watched_->samples;
            const StatsSample& latest = watched_->latest;
            const bool first = std::exchange(first_, false);
            // The client wants a rate: that takes two.
            if (mode_ == StatsMode::one_with_rate && first && latest.at.ns != 0) {
                before_ = latest;
                continue;
            }
            ended_ = mode_ != StatsMode::stream;
            nlohmann::json value =
                stats_json(container.record.id, container.record.name, latest, before_);
            before_ = latest;
            co_return value;
        }
    }

  private:
    std::shared_ptr<StatsSampler::Watched> watched_;
    StatsMode mode_;
    StatsSample before_;
    std::uint64_t seen_ = 0;
    bool first_ = true;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<StatsStream> open_stats(ContainerState& state, const ContainerPtr& container,
                                        StatsMode mode) {
    if (!state.stats) state.stats = std::make_shared<StatsSampler>(state);
    return std::make_unique<SampledStats>(state.stats->watch(container), mode);
}

}  // namespace berth::engine
