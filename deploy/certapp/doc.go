// Package certapp is the sample upstream: a small register of course
// certificates, with the habits of a Django site. It sets sessionid, csrftoken
// and messages exactly as Django does, knows nothing of the edge but three
// response headers, and is what `umbral demo`, the compose files and the
// end-to-end tests put behind Umbral.
//
// What each page sends, which is the whole of its contract with a cache:
//
//	page                           cookies it sets          cache headers
//	/                              none, reads none         Cache-Tag, Cache-Groups: portada certificados
//	/certificados/?page=N          none, reads none         certificados (and 400 ms late, on purpose)
//	/certificado/{id}              none, reads none         certificado:{id}
//	/certificado/{id}/descargar    none, reads none         certificado:{id}, ETag, Last-Modified, ranges
//	/verificar/{codigo}            none, reads none         certificado:{id}; 404 and 301 untagged
//	/panel/                        messages, only to drop   private, Vary: Cookie; panel certificados
//	/fragmentos/actividad          none, reads none         actividad certificados (an ESI fragment)
//	/accounts/login/, /logout/     csrftoken, sessionid     no-store
//	/certificado/{id}/editar       csrftoken, messages      no-store; POST: Cache-Group-Invalidation
//	/whoami/, /eventos, /healthz   none                     no-store
//	/static/NAME.HASH.EXT          none, reads none         public, max-age=1y, immutable
//	/robots.txt, /sitemap.xml      none, reads none         public, max-age=3600
//
// Public pages never look at a cookie, so that one copy is right for everyone:
// that is why their menu says "My panel" to everybody.
package certapp
