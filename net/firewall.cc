#include "net/firewall.h"

#include <nftables/libnftables.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "base/error.h"
#include "base/file.h"

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

std::string masquerade_rules(const NetworkSpec& network) {
    if (network.internal || !network.masquerade) return "";
    std::string text;
    if (!network.subnet.empty())
        text += fmt::format("    ip saddr {} oifname != \"{}\" masquerade\n", network.subnet,
                            network.bridge);
    if (!network.subnet_v6.empty())
        text += fmt::format("    ip6 saddr {} oifname != \"{}\" masquerade\n", network.subnet_v6,
                            network.bridge);
    return text;
}

std::string forward_rules(std::span<const NetworkSpec> networks, const std::string& uplink) {
    std::string text;
    for (const NetworkSpec& network : networks)
        text += fmt::format("    iifname \"{0}\" oifname \"{0}\" accept\n", network.bridge);
    // Networks are islands: what leaves one bridge may only go to the outside.
    for (const NetworkSpec& network : networks) {
        if (network.internal) continue;
        text += fmt::format("    iifname \"{0}\" oifname \"{1}\" accept\n", network.bridge, uplink);
    }
    return text;
}

}  // namespace

std::string ruleset(std::span<const NetworkSpec> networks, const std::string& uplink) {
    std::string masquerade;
    for (const NetworkSpec& network : networks) masquerade += masquerade_rules(network);
    // Adding before deleting makes the deletion work whether or not the table exists.
    return fmt::format(
        "add table inet berth\n"
        "delete table inet berth\n"
        "table inet berth {{\n"
        "  chain forward {{\n"
        "    type filter hook forward priority filter; policy drop;\n"
        "    ct state established,related accept\n"
        "{}"
        "  }}\n"
        "  chain postrouting {{\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        "{}"
        "  }}\n"
        "}}\n",
        forward_rules(networks, uplink), masquerade);
}

void apply_ruleset(const std::string& text) {
    // In a child process: the pages that libnftables touches are several times what this process
    // needs when idle, and they go with the child, which is in the caller's network namespace.
    Pipe words = Pipe::make();
    const pid_t child = ::fork();
    if (child < 0) throw_errno("starting a process for nftables");
    if (child == 0) {
        const std::string failure = run_nftables(text);
        const auto length = static_cast<ssize_t>(failure.size());
        const bool told = ::write(words.write.get(), failure.data(), failure.size()) == length;
        ::_exit(failure.empty() && told ? 0 : 1);
    }
    words.write.reset();
    const std::string failure = read_all(words.read);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (status != 0)
        throw Error(ErrorKind::unavailable, "loading nftables rules: {}",
                    failure.empty() ? "the process for it died" : failure);
}

}  // namespace berth::net
