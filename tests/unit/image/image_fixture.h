// What the image tests share: a directory that goes, a sink that unpacks into memory, small tars.
#pragma once

#include <stdlib.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "archive/compression.h"
#include "archive/digester.h"
#include "archive/stream.h"
#include "archive/tar_reader.h"
#include "archive/tar_writer.h"
#include "base/error.h"
#include "base/file.h"
#include "image/layer_sink.h"
#include "image/progress.h"

namespace berth::image::test {

class TemporaryDirectory final {
  public:
    TemporaryDirectory() {
        std::string name = "/tmp/berth-image-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) throw_errno("making {}", name);
        path_ = name;
    }
    ~TemporaryDirectory() { remove_tree(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// Keeps what storage would keep: which layers there are. Checks what storage would check.
class FakeSink final : public LayerSink {
  public:
    std::optional<StoredLayer> find(const Digest& chain_id) override {
        const std::lock_guard lock(mutex_);
        const auto found = layers_.find(chain_id);
        if (found == layers_.end()) return std::nullopt;
        return found->second;
    }
    std::unique_ptr<StagedLayer> stage(const StageRequest& request, archive::Source& tar,
                                       std::stop_token) override {
        archive::DigestSource digested(tar);
        archive::TarReader reader(digested);
        std::int64_t size = 0;
        while (const auto entry = reader.next()) {
            size += entry->size;
            if (entry->path == "needs-lower" && request.lower) request.lower();
        }
        reader.drain_archive();
        const Digest diff_id = digested.digest();
        if (request.diff_id && diff_id != *request.diff_id)
            throw Error(ErrorKind::invalid, "layer {} has another content", request.diff_id->str());
        return std::make_unique<Staged>(diff_id, size);
    }
    std::vector<StoredLayer> commit(const std::optional<Digest>& parent,
                                    const std::vector<StagedLayer*>& staged) override {
        const std::lock_guard lock(mutex_);
        if (parent && !layers_.contains(*parent))
            throw Error(ErrorKind::internal, "the layer below is missing");
        std::vector<StoredLayer> layers;
        std::optional<Digest> below = parent;
        for (const StagedLayer* each : staged) {
            const Digest chain_id =
                below ? archive::sha256(below->str() + " " + each->diff_id().str())
                      : each->diff_id();
            const StoredLayer layer{chain_id, static_cast<const Staged*>(each)->size};
            layers.push_back(layers_.insert_or_assign(chain_id, layer).first->second);
            below = chain_id;
            ++applied_;
        }
        return layers;
    }
    std::vector<UniqueFd> open_files(const Digest&) override { return {}; }
    void remove(const Digest& chain_id) override {
        const std::lock_guard lock(mutex_);
        layers_.erase(chain_id);
    }
    std::size_t count() const { return layers_.size(); }
    int applied() const { return applied_; }

  private:
    struct Staged final : StagedLayer {
        Staged(Digest digest, std::int64_t bytes) : id(std::move(digest)), size(bytes) {}
        const Digest& diff_id() const override { return id; }
        UniqueFd files() const override { return {}; }
        Digest id;
        std::int64_t size;
    };
    std::mutex mutex_;
    std::map<Digest, StoredLayer> layers_;
    int applied_ = 0;
};

using Files = std::vector<std::pair<std::string, std::string>>;

inline std::string make_tar(const Files& files) {
    archive::StringSink sink;
    archive::TarWriter writer(sink);
    for (const auto& [name, content] : files) {
        archive::TarEntry entry;
        entry.path = name;
        writer.add(entry, content);
    }
    writer.finish();
    return sink.text();
}

inline std::string gzip(const std::string& bytes) {
    archive::StringSink sink;
    archive::GzipSink packer(sink);
    packer.write(bytes);
    packer.finish();
    return sink.text();
}

inline std::string config_for(const std::vector<std::string>& tars,
                              const std::string& architecture = "amd64") {
    nlohmann::json diff_ids = nlohmann::json::array();
    for (const std::string& tar : tars) diff_ids.push_back(archive::sha256(tar).str());
    return nlohmann::json{{"architecture", architecture},
                          {"os", "linux"},
                          {"created", "2024-01-02T03:04:05Z"},
                          {"config", {{"Cmd", {"sh"}}, {"Labels", {{"a", "b"}}}}},
                          {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}}
        .dump();
}

/// Gathers progress lines as text.
struct Lines final {
    std::vector<std::string> text;
    ProgressCallback callback() {
        return [this](const Progress& progress) { text.push_back(to_line(progress)); };
    }
    bool contain(std::string_view part) const {
        for (const std::string& line : text)
            if (line.find(part) != std::string::npos) return true;
        return false;
    }
};

/// The message of the Error that `action` throws; "" when it throws none.
template <typename Action>
std::string error_of(const Action& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.message();
    }
    return "";
}

template <typename Action>
std::optional<ErrorKind> kind_of(const Action& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.kind();
    }
    return std::nullopt;
}

}  // namespace berth::image::test
