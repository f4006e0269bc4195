// What an image brings: layers unpacked into a real directory, archives to load, the answers of a
// registry, Dockerfile instructions.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "archive/digester.h"
#include "archive/stream.h"
#include "archive/tar_writer.h"
#include "base/error.h"
#include "base/file.h"
#include "build/arguments.h"
#include "build/config.h"
#include "build/dockerfile.h"
#include "build/ignore.h"
#include "image/archive_members.h"
#include "image/auth.h"
#include "image/changes.h"
#include "image/load_plan.h"
#include "image/platform.h"
#include "oci/image_spec.h"
#include "storage/layer_store.h"
#include "targets.h"
#include "tests/support/userns.h"

namespace berth::fuzz {
namespace {

namespace fs = std::filesystem;

/// A layer store, and beside it what a layer that gets out would touch.
class Scratch final {
  public:
    Scratch() {
        std::string pattern = fs::temp_directory_path() / "berth-fuzz-XXXXXX";
        if (!::mkdtemp(pattern.data())) throw_errno("making {}", pattern);
        path_ = pattern;
        replace_file(path_ + "/witness", "untouched", 0644, Durability::process);
        fs::create_directory(path_ + "/store");
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { remove_tree(path_); }

    std::string store() const { return path_ + "/store"; }
    void check() const {
        std::size_t entries = 0;
        for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path_)) ++entries;
        if (entries != 2 || read_file(path_ + "/witness", 100) != "untouched")
            throw std::runtime_error("a layer wrote outside of its directory");
    }

  private:
    std::string path_;
};

void unpack_layer(std::string_view bytes) {
    // A real root's layers could do real harm, and others may not give files away.
    static const bool kIsolated = test::enter_user_namespace().empty();
    if (!kIsolated) return;
    static const Scratch kScratch;
    static const auto kStore = storage::LayerStore::open(
        kScratch.store(), {.max_entries = 200, .max_total_size = 1U << 20});
    archive::MemorySource source(bytes);
    try {
        kStore.remove(kStore.apply({}, source).chain_id);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::invalid)
            throw std::runtime_error("no refusal but a failure: " + error.message());
    }
    if (!kStore.list().empty()) throw std::runtime_error("a layer was left behind");
    kScratch.check();
}

void plan_archive(std::string_view bytes) {
    archive::MemorySource source(bytes);
    image::ArchiveMembers members(source, UniqueFd(::memfd_create("archive", MFD_CLOEXEC)), {});
    for (const image::ArchivedImage& image : image::plan_load(members)) {
        oci::parse_image_config(image.config);
        for (const std::string& layer : image.layers) archive::drain(*members.open(layer));
    }
}

void read_registry_answers(std::string_view bytes) {
    for (const image::Challenge& challenge : image::parse_challenges(bytes))
        if (challenge.scheme.empty()) throw std::runtime_error("a challenge without a scheme");
    image::decode_registry_auth(bytes);
    try {
        image::parse_platform(bytes);
    } catch (const Error&) {
        return;
    }
}

void apply_changes(std::string_view bytes) {
    image::apply_changes({}, std::vector<std::string>{std::string(bytes)});
}

void read_ignore_file(std::string_view bytes) { build::IgnoreFile(bytes).excludes("a/b/c"); }

void read_dockerfile(std::string_view bytes) {
    const build::Dockerfile file = build::parse_dockerfile(bytes);
    const build::Arguments arguments(build::Arguments::Given{{"A", "b c"}});
    build::StageConfig config;
    for (const build::Stage& stage : file.stages)
        for (const build::Instruction& instruction : stage.instructions)
            each([&] {
                build::apply(config, instruction, arguments.lookup(config.config.env), file.escape);
            });
}

std::vector<std::string> layers() {
    using archive::EntryType;
    const auto make =
        [](const std::vector<std::tuple<std::string, EntryType, std::string>>& entries) {
            archive::StringSink sink;
            archive::TarWriter writer(sink);
            for (const auto& [path, type, text] : entries) {
                archive::TarEntry entry;
                entry.path = path;
                entry.type = type;
                if (type == EntryType::file) {
                    writer.add(entry, text);
                    continue;
                }
                entry.link_target = text;
                writer.add(entry);
            }
            writer.finish();
            return sink.text();
        };
    return {make({{"a", EntryType::directory, ""},
                  {"a/f", EntryType::file, "x"},
                  {"a/l", EntryType::hard_link, "a/f"}}),
            make({{"up", EntryType::symlink, "../.."},
                  {"up/f", EntryType::file, "x"},
                  {"up", EntryType::file, "y"}}),
            make({{"d/.wh..wh..opq", EntryType::file, ""},
                  {"d/.wh.x", EntryType::file, ""},
                  {"p", EntryType::fifo, ""}}),
            make({{"l", EntryType::symlink, "m"},
                  {"m", EntryType::symlink, "l"},
                  {"l/x", EntryType::directory, ""},
                  {"c", EntryType::char_device, ""}})};
}

std::vector<std::string> archives() {
    const std::string config =
        R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:)" +
        std::string(64, 'a') + R"("]}})";
    const auto make = [](const std::vector<std::pair<std::string, std::string>>& files) {
        archive::StringSink sink;
        archive::TarWriter writer(sink);
        for (const auto& [path, text] : files) {
            archive::TarEntry entry;
            entry.path = path;
            writer.add(entry, text);
        }
        writer.finish();
        return sink.text();
    };
    const std::string digest = archive::sha256(config).hex();
    const std::string manifest =
        R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":)" +
        std::to_string(config.size()) + R"(,"digest":"sha256:)" + digest + R"("},"layers":[]})";
    const std::string index =
        R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":)" +
        std::to_string(manifest.size()) + R"(,"digest":"sha256:)" +
        archive::sha256(manifest).hex() +
        R"(","annotations":{"io.containerd.image.name":"docker.io/a:1"}}]})";
    return {make({{"c.json", config},
                  {"l/layer.tar", "x"},
                  {"manifest.json",
                   R"([{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}])"}}),
            make({{"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"},
                  {"blobs/sha256/" + digest, config},
                  {"blobs/sha256/" + archive::sha256(manifest).hex(), manifest},
                  {"index.json", index}})};
}

}  // namespace

std::vector<Target> image_targets() {
    return {
        {"layer", unpack_layer, layers()},
        {"archive", plan_archive, archives()},
        {"registry",
         read_registry_answers,
         {R"(Bearer realm="https://auth.test/token",service="r",scope="repository:a/b:pull", Basic realm="x\"y")",
          "Negotiate", "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAiLCJpZGVudGl0eXRva2VuIjoidCJ9",
          "linux/arm64/v8"}},
        {"dockerfile",
         read_dockerfile,
         {"# escape=`\nARG A=1\nFROM --platform=linux/amd64 a${A:-x} AS b\nRUN "
          "--mount=type=cache,target=/c x `\n y\nCOPY "
          "--from=b --chown=1:2 a* [b-c] /d/",
          "FROM a\nENV A=$A${B:+c} D='e f'\nCOPY <<E <<-\"F\" /\nx\nE\n\ty\n\tF\nHEALTHCHECK "
          "--interval=1s CMD [\"x\"]\nEXPOSE "
          "1-3/udp $A\nONBUILD RUN x"}},
        {"dockerignore", read_ignore_file, {"*.log\n!keep/**/x[a-c]?\n/a/../b\n# c"}},
        {"changes",
         apply_changes,
         {"CMD [\"a\",\"b\"]\nENV A=B \"C D\"=e\\ f\nEXPOSE 80/tcp 90-92\nLABEL \"a b\"='c'",
          "ENTRYPOINT a b\nVOLUME [\"/a\"]\nUSER u:g\nWORKDIR b",
          "HEALTHCHECK --interval=1s --retries=3 CMD [\"x\"]\nSTOPSIGNAL 9\nONBUILD RUN x\nSHELL "
          "[\"/bin/sh\"]"}}};
}

}  // namespace berth::fuzz
