// For the storage tests: a scratch directory inside a user namespace, and layers from a few lines.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "archive/tar_writer.h"
#include "base/error.h"
#include "base/file.h"
#include "storage/layer_store.h"
#include "tests/support/userns.h"

namespace berth::storage {

using archive::EntryType;
using archive::TarEntry;
using archive::TarWriter;

class LayerFixture : public ::testing::Test {
  protected:
    void SetUp() override {
        const std::string& reason = test::enter_user_namespace();
        if (!reason.empty()) GTEST_SKIP() << reason;
        std::string pattern = std::filesystem::temp_directory_path() / "berth-storage-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        scratch_ = pattern;
        store_ = LayerStore::open(scratch_);
    }
    void TearDown() override {
        if (!scratch_.empty()) remove_tree(scratch_);
    }

    static std::string tar_of(const std::function<void(TarWriter&)>& fill) {
        archive::StringSink sink;
        TarWriter writer(sink);
        fill(writer);
        writer.finish();
        return sink.text();
    }
    Layer apply(const std::function<void(TarWriter&)>& fill,
                const std::optional<Digest>& parent = std::nullopt) const {
        const std::string tar = tar_of(fill);
        archive::MemorySource source(tar);
        return store_->apply({.parent = parent}, source);
    }
    /// The message of the error that applying gives; empty when it works.
    std::string error_of(const std::function<void(TarWriter&)>& fill,
                         const std::optional<Digest>& parent = std::nullopt) const {
        try {
            apply(fill, parent);
            return "";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid) << error.message();
            return error.message();
        }
    }
    std::string file(const Layer& layer, const std::string& path) const {
        return store_->directories(layer.chain_id).front() + "/" + path;
    }
    static struct stat status(const std::string& path) {
        struct stat result {};
        EXPECT_EQ(::lstat(path.c_str(), &result), 0) << path;
        return result;
    }
    static bool absent(const std::string& path) {
        struct stat result {};
        return ::lstat(path.c_str(), &result) < 0 && errno == ENOENT;
    }
    std::size_t store_entries() const {
        std::size_t count = 0;
        for ([[maybe_unused]] const auto& entry :
             std::filesystem::directory_iterator(scratch_ + "/layers"))
            ++count;
        return count;
    }

    std::string scratch_;
    std::optional<LayerStore> store_;
};

}  // namespace berth::storage
