// Volumes of the driver `local`: directories below data_root/volumes. Engine thread only; directory
// work is done by workers. Errors: "get X: no such volume" (not_found), "volume is in use"
// (conflict).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "async/task.h"
#include "engine/filters.h"
#include "engine/model/container_config.h"

namespace berth::engine {

/// The body of POST /volumes/create.
struct VolumeRequest final {
    std::string name;  // empty: anonymous
    std::string driver;
    std::map<std::string, std::string> options;
    model::Labels labels;
    static VolumeRequest from_json(const nlohmann::json& body);
};

enum class Force { no, yes };

struct VolumeDependencies;
struct VolumeState;

class Volumes final {
  public:
    explicit Volumes(VolumeDependencies dependencies);
    ~Volumes();
    Volumes(const Volumes&) = delete;
    Volumes& operator=(const Volumes&) = delete;

    /// The volume as inspect shows it; an existing one of that name is returned as it is.
    async::Task<nlohmann::json> create(VolumeRequest request);
    nlohmann::json inspect(const std::string& name) const;
    /// {"Volumes":[…],"Warnings":null}
    nlohmann::json list(const Filters& filters) const;
    async::Task<void> remove(std::string name, Force force);

    VolumeState& state() { return *state_; }

  private:
    std::unique_ptr<VolumeState> state_;
};

}  // namespace berth::engine
