#include "egress_world.h"

#include <exception>
#include <thread>

#include "linux/enter_namespaces.h"
#include "net/firewall.h"

namespace berth::net {

void EgressWorld::SetUp() {
    NetworkWorld::SetUp();
    if (IsSkipped()) return;
    const std::vector<std::string> warnings = client().state().warnings;
    if (!warnings.empty()) GTEST_SKIP() << "missing: " << warnings.front();
    remote_.emplace();
}

void EgressWorld::TearDown() {
    remote_.reset();
    NetworkWorld::TearDown();
}

void EgressWorld::run_remotely(const std::function<void()>& work) const {
    std::exception_ptr failure;
    std::thread([&] {
        try {
            linux_os::enter_network_namespace(remote_->network_namespace());
            work();
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) std::rethrow_exception(failure);
}

UniqueFd EgressWorld::listen_remotely(const std::string& address, std::uint16_t port) const {
    UniqueFd listener;
    run_remotely([&] { listener = listen_tcp(address, port); });
    return listener;
}

void EgressWorld::set_remote_firewall(const std::string& rules) const {
    run_remotely([&] {
        apply_ruleset(
            "add table inet remote\n"
            "delete table inet remote\n"
            "table inet remote {\n"
            "  chain arriving {\n"
            "    type filter hook input priority filter; policy accept;\n"
            "    " +
            rules +
            "\n"
            "  }\n"
            "}\n");
    });
}

}  // namespace berth::net
