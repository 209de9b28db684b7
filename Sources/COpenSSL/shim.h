#pragma once
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Macros that Swift can't call.
static inline long cssl_set_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_mode(context, mode);
}

static inline int cssl_set_minimum_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}

static inline int cssl_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}

static inline int cssl_set_groups(SSL_CTX *context, const char *names) {
    return (int)SSL_CTX_set1_groups_list(context, names);
}

static inline void cssl_disable_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline void cssl_on_server_name(SSL_CTX *context, int (*chosen)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, chosen);
}

static inline void cssl_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void cssl_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline void cssl_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

// The DNS names a certificate is for; its common name only where it has no subject alternative names (RFC 6125 section 6.4.4).
static inline void cssl_each_name(X509 *certificate, void *owner, void (*each)(void *, const unsigned char *, int)) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (names) {
        for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
            const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
            if (name->type == GEN_DNS) each(owner, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
        }
        GENERAL_NAMES_free(names);
        return;
    }
    X509_NAME *subject = X509_get_subject_name(certificate);
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (index < 0) return;
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
    each(owner, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
}

// Functions of a stack are macros too.
static inline int cssl_count_certificates(STACK_OF(X509) *certificates) { return sk_X509_num(certificates); }
static inline X509 *cssl_certificate(STACK_OF(X509) *certificates, int index) { return sk_X509_value(certificates, index); }
static inline void cssl_free_certificates(STACK_OF(X509) *certificates) { sk_X509_pop_free(certificates, X509_free); }

// Session tickets: AES-256-CBC under HMAC-SHA-256, both keys of 32 bytes.
static inline int cssl_protect_ticket(EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *keys, const unsigned char *iv, int encrypts) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(keys + 32), 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys, iv, encrypts) && EVP_MAC_CTX_set_params(mac, parameters);
}
