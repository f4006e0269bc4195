// The rules of `docker rmi` on an index: pure, so that every conflict has a unit test.
#pragma once

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "image/store.h"
#include "image/store_index.h"

namespace berth::image {

/// What a text named: by reference, or (without one) by id.
struct Resolution final {
    Digest id;
    std::optional<Reference> reference;
};

struct RemovalPlan final {
    StoreIndex next;
    std::vector<RemovalRecord> records;
    std::vector<Digest> deleted;  // images that go
    std::vector<Digest> layers;   // of those, children first; some may be in use elsewhere
};

/// Images in `held` may lose their names only. Throws Error{conflict} with Docker's texts.
RemovalPlan plan_removal(const StoreIndex& index, const Resolution& target, std::string_view text,
                         Force force, PruneParents prune, const FindUses& uses,
                         const std::set<Digest>& held = {});

}  // namespace berth::image
