{{- define "quartet.substrate" -}}
{{- regexFind "^(temporal|kafka|sns-sqs|pubsub)" .Values.mode -}}
{{- end }}

{{- define "quartet.style" -}}
{{- regexFind "(choreography|orchestration)$" .Values.mode -}}
{{- end }}

{{- define "quartet.image" -}}
{{- $registry := .root.Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}quartet/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- /* the labels that select the pods of a service and a role; they must never change */ -}}
{{- define "quartet.selector" -}}
app.kubernetes.io/name: {{ .service }}
app.kubernetes.io/component: {{ .role }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "quartet.labels" -}}
{{ include "quartet.selector" . }}
app.kubernetes.io/part-of: quartet
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* the values of a role: the defaults, overridden by those of the service, as YAML */ -}}
{{- define "quartet.role" -}}
{{- $own := get (get .root.Values.services .service | default dict) .role | default dict -}}
{{- mergeOverwrite (deepCopy (get .root.Values.defaults .role)) $own | toYaml -}}
{{- end }}

{{- define "quartet.environment" -}}
{{- $values := .root.Values -}}
{{- $release := .root.Release.Name -}}
- {name: SERVICE, value: {{ .service }}}
- {name: ROLE, value: {{ .role }}}
- {name: COORDINATION_MODE, value: {{ $values.mode }}}
- {name: PROVIDERS, value: {{ $values.providers }}}
- {name: PROVIDER_URL, value: {{ $values.providerUrl | quote }}}
{{- range $name := list "order" "payment" "inventory" "shipping" }}
- {name: {{ upper $name }}_URL, value: "http://{{ $release }}-{{ $name }}:8000"}
{{- end }}
{{- $substrate := include "quartet.substrate" .root }}
{{- if eq $substrate "kafka" }}
- {name: KAFKA_BOOTSTRAP, value: {{ $values.kafka.bootstrap | quote }}}
- {name: KAFKA_PARTITIONS, value: {{ $values.kafka.partitions | quote }}}
{{- else if eq $substrate "temporal" }}
- {name: TEMPORAL_ADDRESS, value: {{ $values.temporal.address | quote }}}
- {name: TEMPORAL_NAMESPACE, value: {{ $values.temporal.namespace | quote }}}
{{- else if eq $substrate "sns-sqs" }}
- {name: AWS_DEFAULT_REGION, value: {{ $values.aws.region | quote }}}
{{- with $values.aws.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- else }}
- {name: PUBSUB_PROJECT, value: {{ $values.pubsub.project | quote }}}
{{- end }}
{{- range $name, $value := $values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
- name: TOKEN_PUBLIC_KEYS
  valueFrom: {secretKeyRef: {name: {{ $values.existingSecret }}, key: TOKEN_PUBLIC_KEYS}}
{{- range $pair := list "payment" "shipping" }}
{{- if or (eq $.service $pair) (and (eq $.service "order") $values.sealOrders) }}
- name: SEAL_KEY_{{ upper $pair }}
  valueFrom: {secretKeyRef: {name: {{ $values.existingSecret }}, key: SEAL_KEY_{{ upper $pair }}}}
{{- end }}
{{- end }}
{{- if and (has $.service (list "payment" "shipping")) (eq $values.providers "sandbox") }}
- name: PROVIDER_KEY_{{ upper $.service }}
  valueFrom: {secretKeyRef: {name: {{ $values.existingSecret }}, key: PROVIDER_KEY_{{ upper $.service }}}}
{{- end }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $values.existingSecret }}, key: {{ upper .service }}_DATABASE_URL}}
{{- end }}

{{- define "quartet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "quartet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
