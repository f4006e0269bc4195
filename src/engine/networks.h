// Networks as the API shows them. Packets are moved by the network process; this keeps the table
// of networks and their addresses. Connecting containers is in containers.h. Engine thread only.
// Errors: "network X not found" (not_found), predefined ones cannot be made or removed (denied).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

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
    /// {"Id","Warning"}.
    async::Task<nlohmann::json> create(nlohmann::json body);
    async::Task<void> remove(std::string ref);
    /// Removes user-defined networks without a running container: {"NetworksDeleted"}.
    async::Task<nlohmann::json> prune(Filters filters);
    /// The network process is there or a new one: it is told what it must know, in the background.
    void reconnect();
    /// What of the network works worse than it should, in words for the user.
    const std::vector<std::string>& warnings() const;

    NetworkState& state() { return *state_; }

  private:
    std::unique_ptr<NetworkState> state_;
};

}  // namespace berth::engine
