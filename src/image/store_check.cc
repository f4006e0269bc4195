#include "image/store_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "archive/digester.h"
#include "base/error.h"

namespace berth::image {
namespace {

using Problems = std::map<Digest, std::string>;

std::vector<std::string> names_of(const Image& image) {
    std::vector<std::string> names = image.repo_tags();
    if (names.empty()) names = image.repo_digests();
    return names;
}

std::optional<std::string> problem_of(const ImageStore& store, const Image& image,
                                      const std::set<Digest>& present, const Problems& broken) {
    try {
        const std::string config = store.config_text(image.id);
        if (archive::sha256(config) != image.id) return "its configuration is damaged";
        if (chain_ids(oci::parse_image_config(config).diff_ids) != image.chain_ids)
            return "its layers are not those of its configuration";
    } catch (const Error& error) {
        return "its configuration cannot be read: " + error.message();
    }
    for (const Digest& chain_id : image.chain_ids) {
        if (!present.contains(chain_id)) return "its layer " + chain_id.short_hex() + " is missing";
        if (const auto layer = broken.find(chain_id); layer != broken.end())
            return "its layer " + chain_id.short_hex() + " is broken: " + layer->second;
    }
    return std::nullopt;
}

void remove_layers(LayerSink& sink, const UnusedLayers& unused, StoreRepair& repair) {
    for (const Digest& chain_id : unused.chain_ids()) {
        sink.remove(chain_id);
        repair.done.push_back("removed layer " + chain_id.short_hex());
    }
}

void repair_image(ImageStore& store, LayerSink& sink, const StoreFault& fault, const FindUses& uses,
                  StoreRepair& repair) {
    const Removal removal = store.remove(fault.id.str(), Force::yes, PruneParents::no, uses);
    repair.done.push_back("removed image " + fault.id.short_hex());
    repair.pull_again.insert(repair.pull_again.end(), fault.names.begin(), fault.names.end());
    remove_layers(sink, removal.layers, repair);
}

/// The image itself is whole.
void repair_manifest(ImageStore& store, const StoreFault& fault, StoreRepair& repair) {
    store.remove_damaged_manifests(fault.id);
    repair.done.push_back("removed the manifest of image " + fault.id.short_hex());
    repair.pull_again.insert(repair.pull_again.end(), fault.names.begin(), fault.names.end());
}

}  // namespace

StoreReport check_store(const ImageStore& store, LayerInventory& layers,
                        const std::set<Digest>& held, std::stop_token stop) {
    StoreReport report;
    // In this order nothing that a pull is just bringing looks unused: its layers are leased until
    // its image is in the index.
    const std::vector<Digest> listed = layers.chain_ids();
    const std::set<Digest> leased = store.leased_layers();
    const std::vector<Image> images = store.list();
    const std::vector<Digest> in_use = store.layers_in_use();
    const std::set<Digest> present(listed.begin(), listed.end());
    report.images = images.size();
    report.layers = listed.size();
    Problems broken;
    for (const Digest& chain_id : listed) {
        if (leased.contains(chain_id)) continue;
        if (!held.contains(chain_id) && !std::ranges::binary_search(in_use, chain_id)) {
            report.faults.push_back(
                {StoreFault::Kind::unused_layer, chain_id, {}, "no image has it"});
        } else if (auto problem = layers.problem_of(chain_id, stop)) {
            broken[chain_id] = *problem;
            report.faults.push_back({StoreFault::Kind::layer, chain_id, {}, *std::move(problem)});
        }
    }
    for (const Image& image : images) {
        if (auto problem = problem_of(store, image, present, broken)) {
            report.faults.push_back(
                {StoreFault::Kind::image, image.id, names_of(image), *std::move(problem)});
            continue;
        }
        for (const Digest& manifest : store.damaged_manifests(image.id))
            report.faults.push_back({StoreFault::Kind::manifest, image.id, names_of(image),
                                     "its manifest " + manifest.short_hex() +
                                         " is damaged or missing: a push makes another one"});
    }
    for (const Digest& blob : store.unnamed_blobs())
        report.faults.push_back({StoreFault::Kind::unused_blob, blob, {}, "no image has it"});
    return report;
}

StoreRepair repair_store(ImageStore& store, LayerSink& sink, const StoreReport& report,
                         const FindUses& uses) {
    StoreRepair repair;
    std::vector<Digest> unused;
    for (const StoreFault& fault : report.faults) {
        if (fault.kind == StoreFault::Kind::unused_layer) unused.push_back(fault.id);
        try {
            if (fault.kind == StoreFault::Kind::image)
                repair_image(store, sink, fault, uses, repair);
            if (fault.kind == StoreFault::Kind::manifest) repair_manifest(store, fault, repair);
        } catch (const Error& error) {
            repair.kept.push_back(error.message());
        }
    }
    // A layer that is broken goes with its images; those above it with theirs.
    remove_layers(sink, store.unused_of(std::move(unused)), repair);
    for (const Digest& blob : store.remove_unnamed_blobs())
        repair.done.push_back("removed blob " + blob.short_hex());
    return repair;
}

}  // namespace berth::image
