// `--link` on the default bridge: another container's address under an alias in /etc/hosts, and
// variables that tell its ports and environment. (On user-defined networks a link is an alias that
// DNS knows.) Pure values; any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/model/record.h"

namespace berth::engine::model {

/// "db:alias" or "db", of a container's name or id.
std::pair<std::string, std::string> split_link(const std::string& text);

/// A linked container, as it is at the start of the one that links it.
struct Link final {
    std::string alias;
    std::string name, hostname, address;
    std::vector<std::string> environment;
    std::vector<std::string> ports;  // "80/tcp"
};

Link link_to(const ContainerRecord& target, std::string alias);
/// "ALIAS_PORT_80_TCP_ADDR=…" and so on, as Docker has set them since 2013.
std::vector<std::string> link_variables(const std::string& own_name, const Link& link);

}  // namespace berth::engine::model
