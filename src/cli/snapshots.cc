// `berth diff`, `berth export` and `berth commit`: what a container made of its image's files.
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"

namespace berth::cli {
namespace {

constexpr std::array kExportFlags{Flag{"output", 'o'}};
constexpr std::array kCommitFlags{Flag{"author", 'a'}, Flag{"change", 'c'}, Flag{"message", 'm'},
                                  Flag{"pause", 'p', FlagKind::toggle},
                                  Flag{"no-pause", 0, FlagKind::toggle}};

std::string container_path(const std::string& name, const char* rest) {
    return "/containers/" + http::encode_percent(name) + rest;
}

UniqueFd open_output(const std::string& path) {
    if (!path.empty() && path != "-") return open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (::isatty(STDOUT_FILENO))
        throw Error(ErrorKind::invalid,
                    "an archive is not written to a terminal: use -o FILE or redirect");
    return duplicate(BorrowedFd{STDOUT_FILENO});
}

}  // namespace

int diff_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, {}, Positionals::anywhere);
    flags.require(1, "diff CONTAINER");
    EngineClient client(invocation.host);
    std::string text;
    for (const auto& change : client.get(container_path(flags.positionals().front(), "/changes")))
        text += fmt::format("{} {}\n", "CAD"[change.at("Kind").get<std::size_t>() % 3],
                            change.at("Path").get<std::string>());
    write_all(BorrowedFd{STDOUT_FILENO}, text);
    return 0;
}

int export_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kExportFlags, Positionals::anywhere);
    flags.require(1, "export [-o FILE] CONTAINER");
    const std::string target = container_path(flags.positionals().front(), "/export");
    http::ClientResponse response = EngineClient(invocation.host).send({"GET", target, {}, {}, {}});
    const UniqueFd output = open_output(flags.get("output"));
    std::string block(256U << 10, '\0');
    while (const std::size_t size = response.read(block))
        write_all(output, std::string_view(block).substr(0, size));
    return 0;
}

int commit_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kCommitFlags, Positionals::anywhere);
    flags.require(1, "commit [FLAGS] CONTAINER [REPOSITORY[:TAG]]");
    const auto& names = flags.positionals();
    std::string target = "/commit?container=" + http::encode_percent(names.front());
    const auto add = [&target](const char* key, const std::string& value) {
        if (!value.empty()) target += fmt::format("&{}={}", key, http::encode_percent(value));
    };
    if (names.size() > 1) add("repo", names[1]);
    add("author", flags.get("author"));
    add("comment", flags.get("message"));
    for (const std::string& change : flags.all("change")) add("changes", change);
    if (flags.on("no-pause")) add("pause", "0");
    const auto reply = EngineClient(invocation.host).post(target, nullptr);
    write_all(BorrowedFd{STDOUT_FILENO}, reply.at("Id").get<std::string>() + "\n");
    return 0;
}

}  // namespace berth::cli
