#include "engine/image/store_check.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/data_root.h"
#include "engine/image/state.h"
#include "engine/images.h"
#include "engine/model/record.h"

namespace berth::engine {

using nlohmann::json;

namespace {

class StoredLayers final : public image::LayerInventory {
  public:
    explicit StoredLayers(const storage::LayerStore& layers) : layers_(layers) {}
    std::vector<Digest> chain_ids() override { return layers_.chain_ids(); }
    std::optional<std::string> problem_of(const Digest& chain_id, std::stop_token stop) override {
        try {
            layers_.verify(chain_id, stop);
            return std::nullopt;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) throw;
            return error.message();
        }
    }

  private:
    const storage::LayerStore& layers_;
};

std::string_view to_string(image::StoreFault::Kind kind) {
    switch (kind) {
        case image::StoreFault::Kind::image:
            return "image";
        case image::StoreFault::Kind::layer:
            return "layer";
        case image::StoreFault::Kind::manifest:
            return "manifest";
        case image::StoreFault::Kind::unused_layer:
            return "unused-layer";
        case image::StoreFault::Kind::unused_blob:
            return "unused-blob";
    }
    return "image";
}

// Nobody else knows of containers while no engine runs, and they may outlive theirs.
std::vector<model::ContainerRecord> recorded_containers(const std::string& data_root) {
    std::vector<model::ContainerRecord> records;
    std::error_code absent;
    for (const auto& entry :
         std::filesystem::directory_iterator(data_root + "/containers", absent)) {
        const auto text = read_file_if_exists(entry.path().string() + "/container.json");
        if (!text) continue;
        try {
            records.push_back(model::record_from(parse_json(*text)));
        } catch (const Error&) {
            continue;  // the engine itself says so when it starts
        }
    }
    return records;
}

}  // namespace

image::StoreReport check_images(const image::ImageStore& store, const storage::LayerStore& layers,
                                const std::set<Digest>& held, std::stop_token stop) {
    StoredLayers inventory(layers);
    return image::check_store(store, inventory, held, std::move(stop));
}

json to_json(const image::StoreReport& report, const image::StoreRepair& repair) {
    json faults = json::array();
    for (const image::StoreFault& fault : report.faults)
        faults.push_back({{"kind", to_string(fault.kind)},
                          {"id", fault.id.str()},
                          {"names", fault.names},
                          {"problem", fault.problem}});
    return {{"images", report.images}, {"layers", report.layers},
            {"faults", faults},        {"done", repair.done},
            {"kept", repair.kept},     {"pull_again", repair.pull_again}};
}

json check_data_root(const std::string& data_root, StoreCheck check) {
    const UniqueFd lock = lock_data_root(data_root);
    check_format(data_root);
    const storage::LayerStore layers = storage::LayerStore::open(data_root);
    image::ImageStore store(data_root, {}, image::Opening::as_found);
    const std::vector<model::ContainerRecord> containers = recorded_containers(data_root);
    std::vector<std::string> tops;
    for (const model::ContainerRecord& record : containers)
        std::ranges::move(model::top_layers_of(record), std::back_inserter(tops));
    const image::FindUses uses = [&containers](const Digest& id) {
        std::vector<image::ImageUse> found;
        for (const model::ContainerRecord& record : containers)
            if (record.image_id == id.str())
                found.push_back({record.id, record.state.is_running()});
        return found;
    };
    const image::StoreReport report =
        check_images(store, layers, with_lower_layers(layers, tops), {});
    image::StoreRepair repair;
    if (check == StoreCheck::mend)
        repair = image::repair_store(store, *make_layer_sink(layers), report, uses);
    return to_json(report, repair);
}

async::Task<json> Images::check_store(StoreCheck check, std::stop_token stop) {
    ImageState* state = state_.get();
    auto look = [state, stop, held = state->layers_of_containers()] {
        return check_images(*state->store, state->deps.context.storage.layers, held, stop);
    };
    const image::StoreReport report =
        co_await state->deps.context.pool.run_on_thread("check-store", std::move(look));
    if (check == StoreCheck::look) co_return to_json(report, {});
    // Uses are looked up here, since the store asks on the worker's thread.
    std::map<Digest, std::vector<image::ImageUse>> uses;
    for (const image::StoreFault& fault : report.faults)
        if (fault.kind == image::StoreFault::Kind::image && state->uses)
            uses[fault.id] = state->uses(fault.id);
    auto mend = [state, report, uses = std::move(uses)] {
        const image::FindUses find = [&uses](const Digest& id) {
            const auto found = uses.find(id);
            return found == uses.end() ? std::vector<image::ImageUse>() : found->second;
        };
        return image::repair_store(*state->store, *state->layers, report, find);
    };
    const image::StoreRepair repair =
        co_await state->deps.context.pool.run_on_thread("mend-store", std::move(mend));
    co_return to_json(report, repair);
}

}  // namespace berth::engine
