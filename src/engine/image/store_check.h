// The deep check of images and layers, and its mending: for an engine that runs (Images) and for a
// data directory whose engine does not (`berth-engine check-store`). The report is what
// `berth doctor --store` reads:
// {"images","layers","faults":[{"kind","id","names","problem"}],"done":[],"kept":[],"pull_again":[]}.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "engine/images.h"
#include "image/store_check.h"
#include "storage/layer_store.h"

namespace berth::engine {

/// Any thread.
image::StoreReport check_images(const image::ImageStore& store, const storage::LayerStore& layers,
                                const std::set<Digest>& held, std::stop_token stop);
nlohmann::json to_json(const image::StoreReport& report, const image::StoreRepair& repair);

/// Takes the lock of the data directory. Throws Error{unavailable} when an engine holds it.
nlohmann::json check_data_root(const std::string& data_root, StoreCheck check);

}  // namespace berth::engine
