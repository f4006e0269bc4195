// The texts of a container's /etc/hosts and /etc/resolv.conf, and detach keys as bytes. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/model/links.h"
#include "engine/model/record.h"
#include "engine/settings.h"

namespace berth::engine {

/// Whether the container is on a network whose names DNS at 127.0.0.11 knows.
bool has_embedded_dns(const model::ContainerRecord& record);
std::string hosts_text(const model::ContainerRecord& record, const Settings& settings,
                       const std::vector<model::Link>& links = {});
/// From the host's own file: loopback servers are left out, since they are not reachable. With
/// embedded DNS that is the only server, and it asks the others.
std::string resolv_conf_text(const model::ContainerRecord& record, const Settings& settings,
                             const std::string& host_text);
/// The hosts file of a container that links to one that has another address now.
std::string with_moved_link(const std::string& file, const model::Link& link);
/// A file that should change from `before` to `after`, but that the container may have changed too:
/// lines that only one of them has are taken out or added.
std::string with_changes(const std::string& file, const std::string& before,
                         const std::string& after);
/// "ctrl-p,ctrl-q" as key bytes. Throws Error{invalid}.
std::string detach_key_bytes(const std::string& keys);

}  // namespace berth::engine
