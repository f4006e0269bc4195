#include "cli/docker_context.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/docker_config.h"
#include "cli/run_program.h"
#include "linux/spawn.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr const char* kName = "berth";
constexpr const char* kDescription = "berth, the rootless engine of this user";

std::string config_directory() {
    const std::string directory = docker_directory();
    if (directory.empty()) throw Error(ErrorKind::invalid, "HOME is not set");
    return directory;
}

// The CLI names the directory of a context by the SHA-256 of its name: this is that of kName.
std::string own_directory() {
    return config_directory() +
           "/contexts/meta/5c2f64c7f21efd5fb5e3d6a499abe5eacb248ae6f6f0085387c9a056d10ef5fd";
}

std::optional<json> read_document(const std::string& path) {
    const auto text = read_file_if_exists(path);
    if (!text) return std::nullopt;
    try {
        return parse_json(*text);
    } catch (Error& error) {
        throw error.while_("reading {}", path);
    }
}

void write_context(const std::string& host) {
    const std::string directory = own_directory();
    make_directories(directory, 0755);
    const json document{{"Name", kName},
                        {"Metadata", {{"Description", kDescription}}},
                        {"Endpoints", {{"docker", {{"Host", host}, {"SkipTLSVerify", false}}}}}};
    replace_file(directory + "/meta.json", dump_json(document), 0644, Durability::process);
}

std::string current_name() {
    if (const char* value = ::secure_getenv("DOCKER_CONTEXT"); value && *value) return value;
    const auto config = read_document(config_directory() + "/config.json");
    const std::string name = config ? JsonReader(*config).string("currentContext") : "";
    return name.empty() ? "default" : name;
}

void choose_default() {
    const std::string path = config_directory() + "/config.json";
    auto config = read_document(path);
    if (!config || JsonReader(*config).string("currentContext") != kName) return;
    config->erase("currentContext");
    replace_file(path, config->dump(1, '\t') + "\n", 0600, Durability::process);
}

}  // namespace

std::string make_docker_context(const std::string& host) {
    const bool there = exists(own_directory() + "/meta.json");
    if (!linux_os::find_program("docker").empty()) {
        const auto result =
            run_program({"docker", "context", there ? "update" : "create", kName, "--description",
                         kDescription, "--docker", "host=" + host});
        if (result.code == 0)
            return fmt::format("{} the docker context \"{}\"", there ? "updated" : "made", kName);
    }
    write_context(host);
    return fmt::format("wrote the docker context \"{}\" to {}", kName, own_directory());
}

void remove_docker_context() {
    choose_default();
    remove_tree(own_directory());
}

DockerContext current_docker_context() {
    DockerContext context;
    context.name = current_name();
    if (context.name == "default") return context;
    std::error_code unreadable;
    const std::string all = config_directory() + "/contexts/meta";
    for (const auto& entry : std::filesystem::directory_iterator(all, unreadable)) {
        const auto document = read_document(entry.path().string() + "/meta.json");
        if (!document || JsonReader(*document).string("Name") != context.name) continue;
        context.host = JsonReader(*document).object("Endpoints").object("docker").string("Host");
    }
    return context;
}

}  // namespace berth::cli
