// Networks as the API shows them: bridge, host and none. Packets are moved by the network process;
// this keeps addresses and tells it what to attach. Engine thread only.
// Errors: "network X not found" (not_found), predefined ones cannot be made or removed (denied).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "async/task.h"
#include "engine/filters.h"

namespace berth::engine {

struct NetworkDependencies;
struct NetworkState;

class Networks final {
  public:
    explicit Networks(NetworkDependencies dependencies);
    ~Networks();
    Networks(const Networks&) = delete;
    Networks& operator=(const Networks&) = delete;

    nlohmann::json list(const Filters& filters) const;
    /// By name, id or unique prefix of an id.
    nlohmann::json inspect(const std::string& ref) const;
    /// {"Id","Warning"}. Throws Error{unsupported}: user-defined networks are not served yet.
    async::Task<nlohmann::json> create(const nlohmann::json& body);
    async::Task<void> remove(std::string ref);
    async::Task<void> connect(std::string ref, const nlohmann::json& body);
    async::Task<void> disconnect(std::string ref, const nlohmann::json& body);

    NetworkState& state() { return *state_; }

  private:
    std::unique_ptr<NetworkState> state_;
};

}  // namespace berth::engine
