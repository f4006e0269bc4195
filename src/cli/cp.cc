// `berth cp`: files between a container and this machine, both ways, "-" being a tar stream.
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "archive/produced_source.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/go_file_mode.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/copy_rules.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/local_copy.h"
#include "cli/table.h"
#include "linux/rooted_path.h"
#include "storage/extract.h"
#include "storage/tree_tar.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"archive", 'a', FlagKind::toggle},
                            Flag{"follow-link", 'L', FlagKind::toggle},
                            Flag{"quiet", 'q', FlagKind::toggle}};
constexpr const char* kUsage =
    "cp [-a] [-L] [-q] CONTAINER:PATH LOCAL|-  or  LOCAL|- CONTAINER:PATH";

struct Wish final {
    std::string host;
    CopyArgument from, to;
    Links links = Links::kept;
    bool container_owner = false;
    bool quiet = false;
};

/// What the engine says of a path in a container (behaviours of Go's io/fs.FileMode).
struct PathStat final {
    explicit PathStat(const http::ClientResponse& response) {
        const std::string* header = response.headers().find("X-Docker-Container-Path-Stat");
        if (header == nullptr)
            throw Error(ErrorKind::internal, "the engine did not say what the path is");
        const auto document = parse_json(decode_base64(*header));
        const JsonReader reader(document);
        const auto mode = static_cast<std::uint64_t>(reader.integer("mode"));
        thing = (mode & kGoDirectory) != 0 ? Thing::directory : Thing::file;
        is_link = (mode & kGoSymlink) != 0;
        is_device = (mode & kGoDevice) != 0;
        link_target = reader.string("linkTarget");
    }
    Thing thing = Thing::absent;
    bool is_link = false;
    bool is_device = false;
    std::string link_target;
};

std::string archive_of(const CopyArgument& argument, const std::string& path) {
    return fmt::format("/containers/{}/archive?path={}", http::encode_percent(argument.container),
                       http::encode_percent(path));
}

/// Nothing when there is none, or no such container: what is done next says so in its own words.
std::optional<PathStat> stat_in(EngineClient& client, const CopyArgument& argument,
                                const std::string& path) {
    try {
        return PathStat(client.send({"HEAD", archive_of(argument, path), {}, {}, {}}));
    } catch (const Error&) {
        return std::nullopt;
    }
}

void report(const Wish& wish, std::uint64_t bytes, const std::string& place) {
    if (!wish.quiet)
        write_all(BorrowedFd{STDERR_FILENO},
                  fmt::format("Successfully copied {} to {}\n",
                              human_size(static_cast<std::int64_t>(bytes)), place));
}

CopyTarget container_target(EngineClient& client, const CopyArgument& to) {
    CopyTarget target{to.path, Thing::absent};
    std::optional<PathStat> found = stat_in(client, to, to.path);
    if (found && found->is_link) {
        target.path = link_destination(to.path, found->link_target);
        found = stat_in(client, to, target.path);
    }
    if (found && found->is_device)
        throw Error(ErrorKind::conflict,
                    "destination \"{}:{}\" must be a directory or a regular file: got a device",
                    to.container, to.path);
    if (found) target.thing = found->thing;
    return target;
}

/// As a container's engine does, but not in silence.
void say_left_out(const std::string& path) {
    write_all(
        BorrowedFd{STDERR_FILENO},
        fmt::format("berth: {} is left out: it is a device, which only root can make\n", path));
}

void send_tar(EngineClient& client, const Wish& wish, const CopyTarget& target,
              const std::string& directory, archive::Source& tar) {
    std::uint64_t bytes = 0;
    http::ClientRequest request{"PUT", archive_of(wish.to, directory), {}, {}, {}};
    request.target += "&noOverwriteDirNonDir=true";
    if (wish.container_owner) request.target += "&copyUIDGID=true";
    request.headers.set("Content-Type", "application/x-tar");
    request.body_source = [&](std::span<char> into) {
        const std::size_t count = tar.read(into);
        bytes += count;
        return count;
    };
    client.send(request).read_all();
    report(wish, bytes, wish.to.container + ":" + target.path);
}

void copy_in(const Wish& wish) {
    EngineClient client(wish.host);
    const CopyTarget target = container_target(client, wish.to);
    if (wish.from.path == "-") {
        if (target.thing != Thing::directory)
            throw Error(ErrorKind::conflict, "destination \"{}:{}\" must be a directory",
                        wish.to.container, wish.to.path);
        archive::FdSource input(BorrowedFd{STDIN_FILENO});
        return send_tar(client, wish, target, target.path, input);
    }
    const LocalSource source = open_source(absolute_path(wish.from.path), wish.links);
    const CopyPlan plan = plan_copy(source.thing, target);
    archive::ProducedSource tar([&](archive::Sink& sink) {
        storage::TreeTar tree(sink);
        tree.add_tree({source.directory, source.entry, source.path},
                      plan.name.empty() ? source.name : plan.name);
        tree.finish();
    });
    send_tar(client, wish, target, plan.directory, tar);
}

void copy_out(const Wish& wish) {
    EngineClient client(wish.host);
    std::string path = wish.from.path;
    storage::Rename rename;
    if (wish.links == Links::followed) {
        const auto found = stat_in(client, wish.from, path);
        if (found && found->is_link) {
            rename.to = linux_os::base_of(path);
            path = link_destination(path, found->link_target);
        }
    }
    const bool to_stream = wish.to.path == "-";
    CopyTarget target;
    if (!to_stream) target = local_target(absolute_path(wish.to.path));
    http::ClientResponse response = client.send({"GET", archive_of(wish.from, path), {}, {}, {}});
    std::uint64_t bytes = 0;
    archive::CallbackSource tar([&](std::span<char> into) {
        const std::size_t count = response.read(into);
        bytes += count;
        return count;
    });
    if (to_stream) {
        archive::FdSink output(BorrowedFd{STDOUT_FILENO});
        archive::copy(tar, output);
        return;
    }
    const CopyPlan plan = plan_copy(PathStat(response).thing, target);
    const UniqueFd directory = open_file(plan.directory, O_PATH | O_DIRECTORY);
    if (!plan.name.empty()) rename.to = plan.name;
    rename.from = linux_os::base_of(path);
    if (rename.from == "/" || rename.from == ".") rename.from = "";
    storage::ExtractRequest request{.root = directory,
                                    .directory = "/",
                                    .shown_root = plan.directory,
                                    .replacing = storage::Replacing::same_kind,
                                    .owner =
                                        [](storage::Owner) {
                                            return storage::Owner{::geteuid(), ::getegid()};
                                        },
                                    .on_left_out = say_left_out,
                                    .stop = {}};
    if (!rename.to.empty()) request.rename = rename;
    storage::extract_tar(request, tar);
    report(wish, bytes, absolute_path(wish.to.path));
}

}  // namespace

int cp_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(2, kUsage);
    const auto& places = flags.positionals();
    if (places.size() > 2)
        throw Error(ErrorKind::invalid, "too many arguments; usage: berth {}", kUsage);
    if (places[0].empty()) throw Error(ErrorKind::invalid, "source can not be empty");
    if (places[1].empty()) throw Error(ErrorKind::invalid, "destination can not be empty");
    Wish wish{.host = invocation.host,
              .from = split_copy_argument(places[0]),
              .to = split_copy_argument(places[1]),
              .links = flags.on("follow-link") ? Links::followed : Links::kept,
              .container_owner = flags.on("archive"),
              .quiet = flags.on("quiet")};
    if (wish.from.container.empty() && wish.to.container.empty())
        throw Error(ErrorKind::invalid, "must specify at least one container source");
    if (!wish.from.container.empty() && !wish.to.container.empty())
        throw Error(ErrorKind::invalid, "copying between containers is not supported");
    wish.from.container.empty() ? copy_in(wish) : copy_out(wish);
    return 0;
}

}  // namespace berth::cli
