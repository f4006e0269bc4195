// GET /containers/X/stats. One sampler for the engine: each container that somebody watches is read
// once a second for all who watch it, containers that are due together in one job of a worker. No
// timer runs and nothing is read while nobody watches. Engine thread only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/containers/state.h"
#include "engine/containers/stats_sample.h"

namespace berth::engine {

class StatsSampler final : public std::enable_shared_from_this<StatsSampler> {
  public:
    struct Watched;
    explicit StatsSampler(ContainerState& state) : state_(state) {}

    /// The container is sampled while what this returns lives.
    std::shared_ptr<Watched> watch(const ContainerPtr& container);

  private:
    async::Task<> run();
    std::vector<std::shared_ptr<Watched>> take_due(SteadyTime now);
    async::Task<> sample(std::vector<std::shared_ptr<Watched>> batch);

    ContainerState& state_;
    std::map<std::string, std::weak_ptr<Watched>> watched_;
    std::shared_ptr<async::Condition> wake_ = std::make_shared<async::Condition>();
    bool running_ = false;
};

/// What is read of a running container.
StatsTarget stats_target(const ContainerState& state, const Container& container);

std::unique_ptr<StatsStream> open_stats(ContainerState& state, const ContainerPtr& container,
                                        StatsMode mode);

}  // namespace berth::engine
