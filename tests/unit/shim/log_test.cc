#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "shim/gzip_file.h"
#include "shim/log_encoder.h"
#include "shim/log_file.h"

namespace berth::shim {
namespace {

class Records final {
  public:
    LogEncoder::Sink sink() {
        return [this](std::string_view record) { lines.emplace_back(record); };
    }
    std::string text(std::size_t at) const {
        return nlohmann::json::parse(lines.at(at)).at("log").get<std::string>();
    }
    std::vector<std::string> lines;
};

std::string escaped(std::string_view text) {
    std::string result;
    append_log_text(result, text);
    return result;
}

class LogDirectory : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/shim-log-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        directory = name;
    }
    void TearDown() override {
        // A child that compresses works in the directory.
        while (::wait(nullptr) > 0) {
        }
        remove_tree(directory);
    }
    std::string directory;
};

TEST(LogEncoder, writes_the_format_of_json_file) {
    Records records;
    LogEncoder encoder("stderr", {{"b", "2"}, {"a", "<1>"}});
    encoder.feed("hello\n", records.sink());
    ASSERT_EQ(records.lines.size(), 1U);
    EXPECT_TRUE(records.lines[0].starts_with(
        R"({"log":"hello\n","stream":"stderr","attrs":{"a":"\u003c1\u003e","b":"2"},"time":"20)"));
    EXPECT_TRUE(records.lines[0].ends_with("Z\"}\n"));
}

TEST(LogEncoder, joins_reads_into_lines) {
    Records records;
    LogEncoder encoder("stdout", {});
    encoder.feed("a", records.sink());
    encoder.feed("b\nc\n\nd", records.sink());
    encoder.finish(records.sink());
    ASSERT_EQ(records.lines.size(), 4U);
    EXPECT_EQ(records.text(0), "ab\n");
    EXPECT_EQ(records.text(1), "c\n");
    EXPECT_EQ(records.text(2), "\n");
    EXPECT_EQ(records.text(3), "d");
}

TEST(LogEncoder, cuts_a_long_line_at_16_kib) {
    Records records;
    LogEncoder encoder("stdout", {});
    encoder.feed(std::string(LogEncoder::kMaxLine + 5, 'x') + "\n", records.sink());
    ASSERT_EQ(records.lines.size(), 2U);
    EXPECT_EQ(records.text(0), std::string(LogEncoder::kMaxLine, 'x'));
    EXPECT_EQ(records.text(1), "xxxxx\n");
}

TEST(LogEncoder, keeps_a_character_whole_at_the_16_kib_border) {
    for (const std::string character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
        for (std::size_t before = 1; before < character.size(); ++before) {
            Records records;
            LogEncoder encoder("stdout", {});
            const std::string text =
                std::string(LogEncoder::kMaxLine - before, 'x') + character + "y\n";
            encoder.feed(text, records.sink());
            ASSERT_EQ(records.lines.size(), 2U);
            EXPECT_EQ(records.text(0) + records.text(1), text);
            EXPECT_EQ(records.text(1), character + "y\n");
        }
    }
}

TEST(LogEncoder, keeps_a_character_whole_across_reads) {
    Records records;
    LogEncoder encoder("stdout", {});
    encoder.feed("\xe2\x82", records.sink());
    encoder.feed("\xac\n", records.sink());
    EXPECT_EQ(records.text(0), "\xe2\x82\xac\n");
}

TEST(LogText, escapes_as_docker_does) {
    EXPECT_EQ(escaped("a<b>&\"\\\r\n\t\x01\x7f"),
              "a\\u003cb\\u003e\\u0026\\\"\\\\\\r\\n\\u0009\\u0001\x7f");
    EXPECT_EQ(escaped("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029");
}

TEST(LogText, replaces_each_byte_that_is_no_utf8) {
    EXPECT_EQ(escaped("\xff\xc3x\xed\xa0\x80"), "\\ufffd\\ufffdx\\ufffd\\ufffd\\ufffd");
    EXPECT_EQ(escaped("\xc0\xaf\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd");
}

TEST_F(LogDirectory, log_file_has_mode_0640) {
    LogFile file({"json-file", directory + "/log", -1, 1, false, {}});
    file.append("record\n");
    file.flush();
    struct stat status {};
    ASSERT_EQ(::stat((directory + "/log").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
    EXPECT_EQ(read_file(directory + "/log"), "record\n");
}

TEST_F(LogDirectory, log_file_appends_to_an_earlier_one) {
    for (int run = 0; run < 2; ++run) {
        LogFile file({"json-file", directory + "/log", -1, 1, false, {}});
        file.append("record\n");
        file.flush();
    }
    EXPECT_EQ(read_file(directory + "/log"), "record\nrecord\n");
}

TEST_F(LogDirectory, rotation_keeps_max_file_files) {
    LogFile file({"json-file", directory + "/log", 10, 3, false, {}});
    for (int number = 0; number < 6; ++number) file.append(fmt::format("record {}\n", number));
    file.flush();
    EXPECT_EQ(read_file(directory + "/log"), "record 4\nrecord 5\n");
    EXPECT_EQ(read_file(directory + "/log.1"), "record 2\nrecord 3\n");
    EXPECT_EQ(read_file(directory + "/log.2"), "record 0\nrecord 1\n");
    EXPECT_FALSE(exists(directory + "/log.3"));
}

TEST_F(LogDirectory, rotation_shifts_what_was_not_compressed) {
    replace_file(directory + "/log", "live, full\n", 0640, Durability::process);
    replace_file(directory + "/log.1", "plain\n", 0640, Durability::process);
    replace_file(directory + "/log.2.gz", "compressed", 0640, Durability::process);
    LogFile file({"json-file", directory + "/log", 10, 4, true, {}});
    file.append("new\n");
    file.flush();
    EXPECT_EQ(read_file(directory + "/log"), "new\n");
    EXPECT_EQ(read_file(directory + "/log.2"), "plain\n");
    EXPECT_EQ(read_file(directory + "/log.3.gz"), "compressed");
    EXPECT_FALSE(exists(directory + "/log.2.gz"));
}

TEST_F(LogDirectory, the_old_file_goes_on_when_rotation_fails) {
    LogFile file({"json-file", directory + "/log", 10, 2, false, {}});
    make_directories(directory + "/log.next");  // in the way of the new file
    file.append("long enough\n");
    file.append("second\n");
    EXPECT_THROW(file.flush(), Error);
    EXPECT_EQ(read_file(directory + "/log"), "long enough\nsecond\n");
    EXPECT_FALSE(exists(directory + "/log.1"));
    remove_tree(directory + "/log.next");
    file.append("third\n");
    file.flush();
    EXPECT_EQ(read_file(directory + "/log"), "third\n");
}

TEST_F(LogDirectory, one_file_is_truncated_at_max_size) {
    LogFile file({"json-file", directory + "/log", 10, 1, false, {}});
    for (int number = 0; number < 3; ++number) file.append(fmt::format("record {}\n", number));
    file.flush();
    EXPECT_EQ(read_file(directory + "/log"), "record 2\n");
    EXPECT_FALSE(exists(directory + "/log.1"));
}

TEST_F(LogDirectory, compressed_file_reads_back) {
    replace_file(directory + "/log.1", std::string(100000, 'x'), 0640, Durability::process);
    compress_file(directory + "/log.1", directory + "/log.1.gz");
    EXPECT_FALSE(exists(directory + "/log.1"));
    gzFile file = ::gzopen((directory + "/log.1.gz").c_str(), "rb");
    std::string text(200000, '\0');
    EXPECT_EQ(::gzread(file, text.data(), 200000), 100000);
    ::gzclose(file);
    EXPECT_EQ(text.substr(0, 100000), std::string(100000, 'x'));
}

TEST_F(LogDirectory, keeps_no_half_record_when_the_disk_is_full) {
    LogFile file({"json-file", directory + "/log", -1, 1, false, {}});
    file.append("whole\n");
    file.flush();
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{8, before.rlim_max};  // as full as a disk: the write ends in mid-record
    ::setrlimit(RLIMIT_FSIZE, &small);
    file.append("cut off\n");
    EXPECT_THROW(file.flush(), Error);
    ::setrlimit(RLIMIT_FSIZE, &before);
    file.append("after\n");
    file.flush();
    EXPECT_EQ(read_file(directory + "/log"), "whole\nafter\n");
}

}  // namespace
}  // namespace berth::shim
