#include "rootlesskit/preflight.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace berth::rootlesskit {
namespace {

Facts good_facts() {
    Facts facts;
    facts.uid = 1001;
    facts.gid = 1001;
    facts.user = "joe";
    facts.uids = facts.gids = {{100000, 65536}};
    facts.free_range = 165536;
    facts.newuidmap = {"/usr/bin/newuidmap", Privilege::full, ""};
    facts.newgidmap = {"/usr/bin/newgidmap", Privilege::full, ""};
    facts.os_release = "ID=debian\n";
    facts.max_user_namespaces = 1000;
    return facts;
}

std::vector<Finding> troubles(const Facts& facts) {
    std::vector<Finding> found = check(facts);
    std::erase_if(found, [](const Finding& finding) { return finding.state == State::ok; });
    return found;
}

std::string only_finding(const Facts& facts) {
    const auto findings = troubles(facts);
    EXPECT_EQ(findings.size(), 1U);
    return findings.empty() ? "" : message_of(findings[0]);
}

TEST(Preflight, a_good_host_has_no_findings) {
    EXPECT_TRUE(troubles(good_facts()).empty());
    EXPECT_FALSE(check(good_facts()).empty());
}

TEST(Preflight, each_missing_prerequisite_gives_one_message_with_its_command) {
    struct Row {
        const char* name;
        void (*spoil)(Facts&);
        const char* what;
        const char* command;
    };
    const Row rows[] = {
        {"root", [](Facts& f) { f.host_root = true; }, "must not run as root", "`sudo -u USER"},
        {"no range", [](Facts& f) { f.uids.clear(); },
         "no subordinate ids for user joe in /etc/subuid",
         "`sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 joe`"},
        {"no group range", [](Facts& f) { f.gids.clear(); }, "in /etc/subgid", "`sudo usermod"},
        {"absent", [](Facts& f) { f.newuidmap = {}; }, "newuidmap not found",
         "`sudo apt-get install uidmap`"},
        {"not setuid", [](Facts& f) { f.newgidmap.privilege = Privilege::none; },
         "/usr/bin/newgidmap is neither setuid root", "sudo chmod u+s /usr/bin/newgidmap`"},
        {"nosuid",
         [](Facts& f) {
             f.newuidmap = {"/usr/bin/newuidmap", Privilege::nosuid_mount, "/usr"};
         },
         "mounted nosuid", "`sudo mount -o remount,suid /usr`"},
        {"clone off", [](Facts& f) { f.unprivileged_userns_clone = 0; },
         "kernel.unprivileged_userns_clone=0",
         "`sudo sysctl -w kernel.unprivileged_userns_clone=1 && echo"},
        {"max 0", [](Facts& f) { f.max_user_namespaces = 0; }, "user.max_user_namespaces=0",
         "`sudo sysctl -w user.max_user_namespaces=28633 && echo"},
        {"no_new_privs", [](Facts& f) { f.no_new_privileges = true; }, "no_new_privs",
         "systemctl --user edit"},
        {"tun absent", [](Facts& f) { f.tun_errno = ENOENT; }, "/dev/net/tun (No such file",
         "`sudo modprobe tun && "},
        {"tun closed", [](Facts& f) { f.tun_errno = EACCES; }, "/dev/net/tun (Permission denied)",
         "`sudo chmod 0666 /dev/net/tun`"},
    };
    for (const Row& row : rows) {
        Facts facts = good_facts();
        row.spoil(facts);
        const std::string text = only_finding(facts);
        EXPECT_NE(text.find(row.what), std::string::npos) << row.name << ": " << text;
        EXPECT_NE(text.find(row.command), std::string::npos) << row.name << ": " << text;
    }
}

TEST(Preflight, a_small_range_is_a_warning) {
    Facts facts = good_facts();
    facts.uids = {{100000, 1000}};
    const auto findings = troubles(facts);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].state, State::degraded);
}

TEST(Preflight, the_command_fits_the_distribution) {
    Facts facts = good_facts();
    facts.newuidmap = {};
    facts.os_release = "NAME=\"Rocky\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";
    EXPECT_NE(only_finding(facts).find("dnf install"), std::string::npos);
    facts.os_release = "ID=arch\n";
    EXPECT_NE(only_finding(facts).find("pacman -S shadow"), std::string::npos);
}

TEST(Preflight, a_range_that_another_user_has_too_is_moved) {
    Facts facts = good_facts();
    facts.gid_overlap = Overlap{"ann", {100000, 65536}};
    const std::string text = only_finding(facts);
    EXPECT_NE(text.find("in /etc/subgid overlaps that of ann"), std::string::npos) << text;
    EXPECT_NE(text.find("echo joe:165536:65536 | sudo tee -a /etc/subgid"), std::string::npos);
}

TEST(Preflight, a_user_of_a_directory_service_gets_a_line_in_the_files) {
    Facts facts = good_facts();
    facts.local_user = false;
    facts.uids.clear();
    EXPECT_NE(
        only_finding(facts).find("`echo joe:165536:65536 | sudo tee -a /etc/subuid /etc/subgid`"),
        std::string::npos);
}

TEST(Preflight, a_failed_start_is_explained) {
    Facts facts = good_facts();
    const auto text = [&](HolderStep step, int error, const char* detail = "") {
        return message_of(explain({step, error, detail}, facts));
    };
    EXPECT_NE(text(HolderStep::clone, EPERM).find("seccomp"), std::string::npos);
    EXPECT_NE(text(HolderStep::clone, ENOSPC).find("user.max_user_namespaces"), std::string::npos);
    EXPECT_NE(text(HolderStep::map_uids, 0, "uid range not allowed").find("uid range not allowed"),
              std::string::npos);
    facts.apparmor_restrict = 1;
    EXPECT_NE(text(HolderStep::mounts, EACCES)
                  .find("`berth setup apparmor | sudo tee /etc/apparmor.d/berth-1001 && "),
              std::string::npos);
}

}  // namespace
}  // namespace berth::rootlesskit
