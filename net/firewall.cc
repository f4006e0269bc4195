#include "net/firewall.h"

#include <fmt/ranges.h>
#include <nftables/libnftables.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "linux/spawn.h"
#include "net/egress_path.h"

namespace berth::net {
namespace {

struct ContextDeleter final {
    void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// The first line of nftables' complaint; empty when it has none.
std::string run_nftables(const std::string& text) {
    const std::unique_ptr<nft_ctx, ContextDeleter> context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (!context) return "making a context failed";
    nft_ctx_buffer_error(context.get());
    nft_ctx_buffer_output(context.get());
    if (nft_run_cmd_from_buffer(context.get(), text.c_str()) == 0) return "";
    std::string words = nft_ctx_get_error_buffer(context.get());
    if (const auto end = words.find('\n'); end != std::string::npos) words.resize(end);
    return words.empty() ? "unknown failure" : words;
}

/// A named set; sets keep the number of rules that a packet passes the same for any number of
/// networks.
std::string set_text(const std::string& name, const std::string& type,
                     const std::vector<std::string>& elements) {
    std::string text = fmt::format("  set {} {{\n    {};\n", name, type);
    if (!elements.empty())
        text += fmt::format("    elements = {{ {} }}\n", fmt::join(elements, ", "));
    return text + "  }\n";
}

struct Sets final {
    std::vector<std::string> same;    // both ends of a path inside one network
    std::vector<std::string> uplink;  // networks that may go to the outside
    std::vector<std::string> v4, v6;  // subnets whose addresses the outside does not see
};

Sets sets_of(std::span<const NetworkSpec> networks) {
    Sets sets;
    for (const NetworkSpec& network : networks) {
        sets.same.push_back(fmt::format("\"{0}\" . \"{0}\"", network.bridge));
        if (network.internal) continue;
        sets.uplink.push_back(fmt::format("\"{}\"", network.bridge));
        if (!network.masquerade) continue;
        if (!network.subnet.empty()) sets.v4.push_back(network.subnet);
        if (!network.subnet_v6.empty()) sets.v6.push_back(network.subnet_v6);
    }
    return sets;
}

}  // namespace

std::string ruleset(std::span<const NetworkSpec> networks, const std::string& uplink) {
    const Sets sets = sets_of(networks);
    // Adding before deleting makes the deletion work whether or not the table exists.
    // Networks are islands: what leaves one bridge may only go to the outside.
    return fmt::format(
        "add table inet berth\n"
        "delete table inet berth\n"
        "table inet berth {{\n"
        "{}{}{}{}"
        "  chain forward {{\n"
        "    type filter hook forward priority filter; policy drop;\n"
        "    ct state established,related accept\n"
        "    iifname . oifname @same accept\n"
        "    oifname \"{}\" ip daddr 169.254.0.0/16 meta l4proto tcp drop\n"
        "    iifname @uplink oifname {{ \"{}\", \"{}\" }} accept\n"
        "    iifname \"{}\" oifname @uplink accept\n"
        "  }}\n"
        "  chain postrouting {{\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        "    oifname \"{}\" ip saddr @masquerade4 masquerade\n"
        "    oifname \"{}\" ip6 saddr @masquerade6 masquerade\n"
        "  }}\n"
        "}}\n",
        set_text("same", "type ifname . ifname", sets.same),
        set_text("uplink", "type ifname", sets.uplink),
        set_text("masquerade4", "type ipv4_addr; flags interval", sets.v4),
        set_text("masquerade6", "type ipv6_addr; flags interval", sets.v6), uplink, uplink,
        kGateName, kGateName, uplink, uplink);
}

void apply_ruleset(const std::string& text) {
    // In a program of its own: the pages that libnftables touches are several times what this
    // process needs when idle. The child is in the network namespace of the calling thread.
    Pipe rules = Pipe::make();
    Pipe words = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-network");
    request.arguments = {"berth-network", kLoadRulesVerb};
    request.fds = {{rules.read, STDIN_FILENO}, {words.write, STDERR_FILENO}};
    const linux_os::PidFd child = linux_os::spawn(request);
    rules.read.reset();
    words.write.reset();
    std::string failure;
    try {
        // It reads everything before it says anything.
        write_all(rules.write, text);
        rules.write.reset();
        failure = read_all(words.read);
    } catch (const Error& error) {
        failure = error.message();
    }
    if (child.reap().code != 0)
        throw Error(ErrorKind::unavailable, "loading nftables rules: {}",
                    failure.empty() ? "the process for it died" : failure);
}

int load_rules_verb() {
    const std::string failure = run_nftables(read_all(BorrowedFd(STDIN_FILENO)));
    write_all(BorrowedFd(STDERR_FILENO), failure);
    return failure.empty() ? 0 : 1;
}

}  // namespace berth::net
