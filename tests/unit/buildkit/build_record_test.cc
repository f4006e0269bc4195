#include "buildkit/build_record.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::buildkit {
namespace {

TEST(BuildRecord, is_read_as_it_was_written) {
    BuildRecord record;
    record.ref = "r";
    record.frontend = "dockerfile.v0";
    record.options = {{"target", "t"}, {"no-cache", ""}};
    record.exporters = {{"moby", {{"name", "a:b"}}}};
    record.code = 1;
    record.error = "stopped";
    record.created.ns = 1'700'000'000'000'000'123;
    record.completed.ns = 1'700'000'001'000'000'000;
    record.log_digest = "sha256:x";
    record.log_size = 7;
    record.response = {{"containerimage.digest", "sha256:y"}};
    record.pinned = true;
    record.steps = {4, 3, 2, 1};
    const BuildRecord read = decode_record(encode(record));
    EXPECT_EQ(encode(read), encode(record));
    EXPECT_EQ(read.options, record.options);
    EXPECT_EQ(read.created, record.created);
    EXPECT_EQ(read.error, "stopped");
    EXPECT_TRUE(read.pinned);
}

TEST(BuildRecord, of_a_build_under_way_has_no_end) {
    BuildRecord record;
    record.created.ns = 1;
    EXPECT_EQ(decode_record(encode(record)).completed, Timestamp());
}

TEST(BuildLog, pieces_are_merged_to_messages_of_a_good_size) {
    std::string log;
    for (int i = 0; i < 3; ++i) add_to_log(log, std::string(600U << 10, 'x'));
    add_to_log(log, "y");
    const std::vector<std::string> messages = read_log(log);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(messages[2].size(), (600U << 10) + 1);
    EXPECT_TRUE(read_log("").empty());
}

TEST(BuildLog, that_is_cut_off_is_an_error) {
    std::string log;
    add_to_log(log, "piece");
    EXPECT_THROW(read_log(log.substr(0, 6)), Error);
    EXPECT_THROW(read_log(log.substr(0, 2)), Error);
}

}  // namespace
}  // namespace berth::buildkit
