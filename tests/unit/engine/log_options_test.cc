// Options of log drivers, and the journal read back.
#include "engine/model/log_options.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "engine/containers/files.h"
#include "engine/containers/journal_log.h"
#include "engine/containers/journal_record.h"
#include "engine/containers/log_setup.h"

namespace berth::engine {
namespace {

using Texts = std::map<std::string, std::string>;

model::ContainerRecord record_with(const std::string& driver, Texts options) {
    model::ContainerRecord record;
    record.id = std::string(64, 'a');
    record.name = "web";
    record.image_id = "sha256:" + std::string(64, 'b');
    record.config.image = "busybox";
    record.config.labels = {{"com.example.team", "red"}, {"tier", "1"}};
    record.config.env = {"COLOR=blue", "PATH=/bin"};
    record.host_config.log_config = {driver, std::move(options)};
    return record;
}

std::string refusal(const std::string& driver, Texts options) {
    try {
        model::check_log_options({driver, std::move(options)});
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

TEST(LogOptions, are_refused_in_dockers_words) {
    EXPECT_EQ(refusal("splunk", {}),
              "error looking up logging plugin splunk: plugin \"splunk\" not found");
    EXPECT_EQ(refusal("journald", {{"max-size", "1m"}}),
              "unknown log opt 'max-size' for journald log driver");
    EXPECT_EQ(refusal("json-file", {{"mode", "later"}}),
              "logger: logging mode not supported: later");
    EXPECT_EQ(refusal("journald", {{"max-buffer-size", "1m"}}),
              "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    EXPECT_EQ(refusal("json-file", {{"max-size", "1m"}, {"max-file", "0"}}),
              "invalid value for max-file: '0'");
    EXPECT_EQ(refusal("local", {{"compress", "true"}, {"max-file", "1"}}),
              "compress cannot be true when max file count is less than 2");
    EXPECT_EQ(refusal("journald", {{"tag", "{{.Nothing}}"}}),
              "invalid log tag: unknown field .Nothing");
}

TEST(LogOptions, that_a_driver_has_are_taken) {
    EXPECT_EQ(refusal("none", {}), "");
    EXPECT_EQ(refusal("json-file", {{"max-size", "1m"}, {"max-file", "3"}, {"tag", "x"}}), "");
    EXPECT_EQ(refusal("journald", {{"mode", "non-blocking"}, {"max-buffer-size", "4m"}}), "");
}

TEST(LogOptions, labels_and_variables_are_found_by_name_and_pattern) {
    const auto attributes = [](Texts options) {
        const auto record = record_with("json-file", std::move(options));
        return model::log_attributes(record.config, record.host_config.log_config);
    };
    EXPECT_EQ(attributes({{"labels", "tier,none"}, {"env", "COLOR"}}),
              (Texts{{"tier", "1"}, {"COLOR", "blue"}}));
    EXPECT_EQ(attributes({{"labels-regex", "^com\\."}}), (Texts{{"com.example.team", "red"}}));
    EXPECT_EQ(attributes({{"env-regex", "^(COL|PA)"}}),
              (Texts{{"COLOR", "blue"}, {"PATH", "/bin"}}));
}

TEST(LogOptions, a_tag_names_the_container_and_its_image) {
    const auto record = record_with("json-file", {});
    EXPECT_EQ(model::expand_tag("{{.Name}}/{{ .ImageName }}:{{.ID}}", record),
              "web/busybox:aaaaaaaaaaaa");
    EXPECT_EQ(model::expand_tag("{{.ImageID}} plain", record), "bbbbbbbbbbbb plain");
}

TEST(LogConfig, json_file_has_the_tag_among_its_attributes) {
    const auto log = log_config(record_with("json-file", {{"tag", "{{.Name}}"}}), "/x/log");
    EXPECT_EQ(log.path, "/x/log/" + std::string(64, 'a') + "-json.log");
    EXPECT_EQ(log.attributes, (Texts{{"tag", "web"}}));
}

TEST(LogConfig, journald_has_dockers_fields_in_its_own_spelling) {
    const auto log = log_config(record_with("journald", {{"labels", "com.example.team"},
                                                         {"mode", "non-blocking"},
                                                         {"max-buffer-size", "2k"}}),
                                "/x/log");
    EXPECT_EQ(log.path, kJournalSocket);
    EXPECT_TRUE(log.non_blocking);
    EXPECT_EQ(log.max_buffer, 2048);
    EXPECT_EQ(log.attributes, (Texts{{"COM_EXAMPLE_TEAM", "red"},
                                     {"CONTAINER_ID", "aaaaaaaaaaaa"},
                                     {"CONTAINER_ID_FULL", std::string(64, 'a')},
                                     {"CONTAINER_NAME", "web"},
                                     {"CONTAINER_TAG", "aaaaaaaaaaaa"},
                                     {"IMAGE_NAME", "busybox"},
                                     {"SYSLOG_IDENTIFIER", "aaaaaaaaaaaa"}}));
}

TEST(JournalParser, gives_entries_as_they_become_whole) {
    JournalParser parser;
    const std::string text = std::string("MESSAGE=one\nPRIORITY=6\n\nMESSAGE\n") +
                             std::string("\3\0\0\0\0\0\0\0a\nb\n\nMESS", 17);
    std::vector<JournalEntry> entries;
    for (const char byte : text) {
        parser.feed({&byte, 1});
        while (auto entry = parser.next()) entries.push_back(std::move(*entry));
    }
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0], (JournalEntry{{"MESSAGE", "one"}, {"PRIORITY", "6"}}));
    EXPECT_EQ(entries[1], (JournalEntry{{"MESSAGE", "a\nb"}}));
}

TEST(JournalParser, refuses_an_absurd_length) {
    JournalParser parser;
    parser.feed(std::string("MESSAGE\n") + std::string(8, '\xff'));
    EXPECT_THROW(parser.next(), Error);
}

TEST(SyslogSetup, over_tls_has_the_name_and_the_files) {
    const auto log = log_config(record_with("syslog", {{"syslog-address", "tcp+tls://127.0.0.1"},
                                                       {"syslog-tls-ca-cert", "/ca"},
                                                       {"syslog-tls-cert", "/cert"},
                                                       {"syslog-tls-key", "/key"}}),
                                "/c");
    EXPECT_EQ(log.path, "tcp+tls:127.0.0.1:514");
    EXPECT_EQ(log.tls.name, "127.0.0.1");
    EXPECT_EQ(log.tls.authorities + log.tls.certificate + log.tls.key, "/ca/cert/key");
    EXPECT_TRUE(log.tls.verified);
    const auto any =
        log_config(record_with("syslog", {{"syslog-address", "tcp+tls://127.0.0.1:6514"},
                                          {"syslog-tls-skip-verify", "false"}}),
                   "/c");
    EXPECT_FALSE(any.tls.verified) << "the option is enough, as with Docker";
}

TEST(JournalRecord, is_what_the_driver_wrote) {
    const LogRecord record = record_of({{"MESSAGE", "hello"},
                                        {"PRIORITY", "3"},
                                        {"SYSLOG_TIMESTAMP", "2026-01-02T03:04:05.6Z"},
                                        {"CONTAINER_NAME", "web"},
                                        {"_PID", "7"},
                                        {"TEAM", "red"}});
    EXPECT_EQ(record.text, "hello\n");
    EXPECT_TRUE(record.from_stderr);
    EXPECT_EQ(rfc3339(record.at), "2026-01-02T03:04:05.6Z");
    EXPECT_EQ(record.attributes, "TEAM=red");
}

TEST(JournalRecord, pieces_of_a_line_have_no_line_break_but_the_last) {
    JournalEntry piece{{"MESSAGE", "x"},
                       {"CONTAINER_PARTIAL_MESSAGE", "true"},
                       {"CONTAINER_PARTIAL_LAST", "false"}};
    EXPECT_EQ(record_of(piece).text, "x");
    piece["CONTAINER_PARTIAL_LAST"] = "true";
    EXPECT_EQ(record_of(piece).text, "x\n");
}

TEST(Journalctl, is_asked_for_the_last_lines_or_from_a_time_on) {
    LogSelection selection;
    selection.since.ns = 5'900'000'000;
    auto arguments = journalctl_arguments("abc", selection, Follow::yes);
    EXPECT_EQ(arguments.back(), "CONTAINER_ID_FULL=abc");
    EXPECT_NE(std::ranges::find(arguments, "--since=@5"), arguments.end());
    EXPECT_NE(std::ranges::find(arguments, "--no-tail"), arguments.end());
    selection.tail = 3;
    arguments = journalctl_arguments("abc", selection, Follow::no);
    EXPECT_NE(std::ranges::find(arguments, "--lines=3"), arguments.end());
    EXPECT_EQ(std::ranges::find(arguments, "--since=@5"), arguments.end());
}

}  // namespace
}  // namespace berth::engine
