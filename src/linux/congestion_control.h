// Which TCP congestion control suits a network namespace whose connections all end on this machine.
// One that paces, as bbr does, sets a timer for each burst, and where nothing queues it only
// halves the throughput.
#pragma once

#include <string>
#include <string_view>

namespace berth::linux_os {

/// `standard` and `allowed` (words) as in net.ipv4.tcp_congestion_control and
/// tcp_allowed_congestion_control of the host. Empty: the standard one does not pace. Pure.
std::string choose_local_congestion_control(std::string_view standard, std::string_view allowed);

/// That for the calling thread's network namespace as it is now.
std::string local_congestion_control();

}  // namespace berth::linux_os
